// SPDX-License-Identifier: MIT OR Apache-2.0

//! The program as scripts use it: exit status, JSON, and messages.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;

use hmdfs_control::{Device, Failure, FailureCode, Mount, Reply, Request, Status};
use tempfile::TempDir;

fn run(socket: &PathBuf, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hmdfsctl"))
        .arg("--socket")
        .arg(socket)
        .args(arguments)
        .output()
        .unwrap()
}

fn device(online: bool) -> Device {
    Device {
        id: "hm1-abcdefg".into(),
        number: 1,
        name: "tablet".into(),
        access: "read".into(),
        level: Some(3),
        addresses: Vec::new(),
        online,
        links: u32::from(online),
        reason: (!online).then(|| "connection refused".into()),
    }
}

fn status(online: bool) -> Status {
    Status {
        id: "hm1-gfedcba".into(),
        name: "laptop".into(),
        version: "0".into(),
        listen: Vec::new(),
        mount: Some(Mount {
            instance: 1,
            protocol_min: 1,
            protocol_max: 1,
            features: 0,
        }),
        problem: None,
        devices: vec![device(online)],
    }
}

/// A daemon that gives the answers of `answer`.
fn serve(answer: impl Fn(Request) -> Reply + Send + 'static) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let reply = answer(serde_json::from_str(&line).unwrap());
            let text = serde_json::to_string(&reply).unwrap() + "\n";
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    (directory, path)
}

fn daemon(online: bool) -> (TempDir, PathBuf) {
    serve(move |request| match request {
        Request::Status => Reply::Status(status(online)),
        Request::Devices => Reply::Devices(vec![device(online)]),
        Request::Links => Reply::Links(Vec::new()),
    })
}

#[test]
fn without_a_daemon_it_is_3() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&directory.path().join("none"), &["status"]);
    assert_eq!(output.status.code(), Some(3));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("hmdfsd is not running"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_usage_is_2() {
    let output = run(&PathBuf::from("/nonexistent"), &["frobnicate"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_unknown_device_is_4() {
    let (_directory, socket) = daemon(true);
    for command in ["devices", "links"] {
        let output = run(&socket, &[command, "toaster"]);
        assert_eq!(output.status.code(), Some(4), "{command}");
        assert_eq!(
            run(&socket, &[command, "tablet"]).status.code(),
            Some(0),
            "{command}"
        );
    }
}

#[test]
fn a_refusal_is_5() {
    let (_directory, socket) = serve(|_| {
        Reply::Error(Failure {
            code: FailureCode::NotPermitted,
            message: "become root".into(),
        })
    });
    let output = run(&socket, &["links"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "hmdfsctl: become root\n"
    );
}

#[test]
fn a_check_of_a_fleet_that_is_not_whole_is_8() {
    for (online, expected) in [(true, 0), (false, 8)] {
        let (_directory, socket) = daemon(online);
        let output = run(&socket, &["status", "--check"]);
        assert_eq!(output.status.code(), Some(expected));
        assert_eq!(run(&socket, &["status"]).status.code(), Some(0));
    }
}

#[test]
fn json_is_what_the_daemon_said() {
    let (_directory, socket) = daemon(false);
    let output = run(&socket, &["status", "--json"]);
    assert_eq!(
        serde_json::from_slice::<Status>(&output.stdout).unwrap(),
        status(false)
    );
    let output = run(&socket, &["devices", "--json"]);
    assert_eq!(
        serde_json::from_slice::<Vec<Device>>(&output.stdout).unwrap(),
        [device(false)]
    );
    let output = run(&socket, &["id"]);
    assert_eq!(output.stdout, b"hm1-gfedcba\n");
}
