// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many devices in one guest: the tests and the demonstration.

use std::process::ExitCode;

use lab::runner::{self, Part};
use lab::{conformance, demo, lock, shell, stuck, suite};

const USAGE: &str = "\
usage: lab test [FILTER] [--list]   run the tests whose names contain FILTER
       lab test --part K/N          run one of N parts of the tests
       lab conformance [FILTER]     what others have written to check file systems
       lab demo                     three devices read each other's files
       lab demo --vms first|second  the same between two machines
       lab exercise SECONDS [SEED]  random work on shared files, against a model
       lab shell                    three devices and a prompt
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test", "--list"] => {
            runner::list(suite::groups(), "");
            Ok(true)
        }
        ["test", filter, "--list"] | ["test", "--list", filter] => {
            runner::list(suite::groups(), filter);
            Ok(true)
        }
        ["test"] => runner::run(suite::groups(), "", Part::WHOLE),
        ["test", "--part", part] => part
            .parse()
            .and_then(|part| runner::run(suite::groups(), "", part)),
        ["test", filter] => runner::run(suite::groups(), filter, Part::WHOLE),
        ["conformance"] => runner::run(conformance::groups(), "", Part::WHOLE),
        ["conformance", filter] => runner::run(conformance::groups(), filter, Part::WHOLE),
        // What `test` starts for each group.
        ["group", group, ..] => runner::run_here(group, &arguments[2..]).map(|()| true),
        // What tests of locks kill.
        ["hold", path] => lock::hold(path).map(|()| true),
        // What tests of killing kill.
        ["stuck", what, path] => stuck::run(what, path).map(|()| true),
        ["demo"] => demo::three_devices().map(|()| true),
        ["demo", "--vms", role] => demo::two_machines(role).map(|()| true),
        ["exercise", seconds] => exercise_for(seconds, "1"),
        ["exercise", seconds, seed] => exercise_for(seconds, seed),
        ["shell"] => shell::run().map(|()| true),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn exercise_for(seconds: &str, seed: &str) -> anyhow::Result<bool> {
    let number = |text: &str| {
        text.parse()
            .map_err(|_| anyhow::anyhow!("'{text}' is not a number"))
    };
    lab::exercise::for_seconds(number(seconds)?, number(seed)?).map(|()| true)
}
