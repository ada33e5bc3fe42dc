// SPDX-License-Identifier: MIT OR Apache-2.0

//! Logs as KUnit writes them, whole and damaged.

use super::*;

const GOOD: &str = "\
[    0.5] Linux version 7.2
[    1.045620] KTAP version 1
[    1.045621] 1..2
[    1.045622]     KTAP version 1
[    1.045623]     # Subtest: errno
[    1.045624]     # module: hmdfs
[    1.045625]     1..2
[    1.045626]     ok 1 round_trip
[    1.2] clocksource: Switched to clocksource tsc
[    1.3]     ok 2 unknown_is_eio # SKIP needs a clock
[    1.4] # errno: pass:1 fail:0 skip:1 total:2
[    1.5] # Totals: pass:1 fail:0 skip:1 total:2
[    1.6] ok 1 errno
[    1.7]     KTAP version 1
[    1.8]     # Subtest: names
[    1.9]     1..1
[    2.0]         KTAP version 1
[    2.0]         # Subtest: each
[    2.0]         ok 1 first
[    2.0]         ok 2 second
[    2.0]     # each: pass:2 fail:0 skip:0 total:2
[    2.0]     ok 1 each
[    2.1] ok 2 names
[    2.2] guest: the command ended with status 0
";

fn problems(log: &str) -> Vec<String> {
    let report = parse(log);
    assert!(!report.is_success());
    report.problems
}

#[test]
fn whole_log_is_read() {
    // A case's parameters have no plan on kernels that do not know their number.
    let log = GOOD.replace(
        "        # Subtest: each\n",
        "        # Subtest: each\n[    2.0]         1..2\n",
    );
    let report = parse(&log);
    assert_eq!(report.problems, Vec::<String>::new());
    let names: Vec<_> = report
        .cases
        .iter()
        .map(|case| (case.suite.as_str(), case.name.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            ("errno", "round_trip"),
            ("errno", "unknown_is_eio"),
            ("names", "each")
        ]
    );
    assert_eq!(
        report.cases[1].outcome,
        Outcome::Skipped("needs a clock".to_owned())
    );
    assert!(report.is_success());
}

#[test]
fn parameters_need_no_plan() {
    assert!(parse(GOOD).is_success());
}

#[test]
fn every_truncation_fails() {
    let lines: Vec<&str> = GOOD.lines().collect();
    // The last line is the guest's, the one before ends the last suite.
    for length in 0..lines.len() - 2 {
        let report = parse(&lines[..length].join("\n"));
        assert!(!report.is_success(), "the first {length} lines pass");
    }
}

#[test]
fn every_lost_result_fails() {
    let lines: Vec<&str> = GOOD.lines().collect();
    for lost in (0..lines.len())
        .filter(|&index| matches!(split(lines[index]), (0..=1, text) if text.starts_with("ok ")))
    {
        let mut rest = lines.clone();
        rest.remove(lost);
        assert!(
            !parse(&rest.join("\n")).is_success(),
            "passes without {}",
            lines[lost]
        );
    }
}

#[test]
fn empty_log_fails() {
    assert_eq!(problems(""), ["no test was run"]);
}

#[test]
fn no_suites_fail() {
    assert_eq!(problems("KTAP version 1\n1..0\n"), ["no test was run"]);
}

#[test]
fn failure_has_its_diagnostics() {
    let report = parse(
        "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: errno\n    1..1\n    \
         # round_trip: EXPECTATION FAILED at rust/kapi/errno.rs:10\n        Expected a == b\n    \
         not ok 1 round_trip\nnot ok 1 errno\n",
    );
    assert!(!report.is_success());
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.cases[0].outcome, Outcome::Failed);
    assert_eq!(
        report.cases[0].diagnostics,
        [
            "round_trip: EXPECTATION FAILED at rust/kapi/errno.rs:10",
            "Expected a == b"
        ]
    );
}

#[test]
fn suite_that_fails_by_itself_is_reported() {
    let log = GOOD.replace("ok 1 errno", "not ok 1 errno");
    assert_eq!(problems(&log), ["errno: failed outside of its cases"]);
}

#[test]
fn missing_plan_is_reported() {
    let log = GOOD.replace("[    1.045625]     1..2\n", "");
    assert_eq!(problems(&log), ["errno: has no plan"]);
}

#[test]
fn results_outside_a_document_do_not_count() {
    assert_eq!(
        problems("ok 1 something\n    ok 1 other\n"),
        ["no test was run"]
    );
}

#[test]
fn documents_follow_each_other() {
    let log = format!("KTAP version 1\n1..0\n{GOOD}");
    assert!(parse(&log).is_success());
}

#[test]
fn time_stamps_of_threads_are_removed() {
    assert_eq!(
        split("[    1.5][   T12]     ok 1 x"),
        (0, "[    1.5][   T12]     ok 1 x")
    );
    assert_eq!(split("[    1.5] [   T12]     ok 1 x"), (1, "ok 1 x"));
    assert_eq!(split("    [brackets] are text"), (1, "[brackets] are text"));
}
