// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running programs with a time limit.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

/// How long the small helpers (`ip`, `tc`, `mkfs`, `hmdfsctl`) may take; the
/// debug kernel under emulation is some fifty times slower than a real one.
pub const HELPER_LIMIT: Duration = Duration::from_secs(60);

/// What a program left behind.
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is still worth showing.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for `child` until `limit` has passed; `None` when it still runs then.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `command` with `input` as its standard input and returns what it wrote,
/// whatever its exit status; it is killed, and an error returned, after `limit`.
pub fn output(command: &mut Command, input: &str, limit: Duration) -> Result<Output> {
    let what = describe(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {what}"))?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input says why on stderr.
        let _ = stdin.write_all(input.as_bytes());
    }
    let Some(status) = wait(&mut child, limit)? else {
        child.kill()?;
        child.wait()?;
        bail!(
            "{what} still ran after {} s and was killed",
            limit.as_secs()
        );
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().unwrap_or_default();
    Ok(Output {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// Runs a program that must succeed; returns its standard output.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String> {
    run_with_input(program, arguments, "")
}

/// [`run`] with something on standard input.
pub fn run_with_input<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    input: &str,
) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let what = describe(&command);
    let output = output(&mut command, input, HELPER_LIMIT)?;
    if !output.status.success() {
        bail!("{what}: {}: {}", output.status, output.stderr.trim());
    }
    Ok(output.stdout)
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    format!("`{text}`")
}

/// Asks politely, then kills: SIGTERM, and SIGKILL after `patience`.
pub fn stop(child: &mut Child, patience: Duration) -> Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(child),
        rustix::process::Signal::TERM,
    )?;
    if let Some(status) = wait(child, patience)? {
        return Ok(status);
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// Where every thread of a process waits in the kernel.
pub fn stacks(process: u32) -> String {
    let mut text = String::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return text;
    };
    for task in tasks.flatten() {
        if let Ok(stack) = fs::read_to_string(task.path().join("stack")) {
            let name = task.file_name();
            text.push_str(&format!("thread {}:\n{stack}", name.to_string_lossy()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_collected() {
        let text = run_with_input("cat", &["-"], "one\ntwo\n").expect("cat works");
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn a_failure_names_the_program_and_its_message() {
        let error = run("ls", &["/nowhere-at-all"]).expect_err("there is no such folder");
        let text = format!("{error:#}");
        assert!(text.contains("ls /nowhere-at-all"), "{text}");
        assert!(text.contains("No such file"), "{text}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let error = output(&mut command, "", Duration::from_millis(20)).err();
        assert!(error.is_some_and(|error| error.to_string().contains("was killed")));
    }
}
