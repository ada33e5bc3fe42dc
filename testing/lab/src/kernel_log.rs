// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel complained about while a test ran.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// Texts that the kernel only prints when something is wrong with it.
const REPORTS: [&str; 17] = [
    "WARNING:",
    "BUG:",
    "KASAN:",
    "UBSAN:",
    "Oops",
    "general protection fault",
    "kernel BUG at",
    "INFO: task ",
    "INFO: rcu",
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "sleeping function called",
    "unreferenced object",
    "rust_kernel: panicked",
    "VFS: Busy inodes",
];

/// A place in the kernel's log.
pub struct KernelLog {
    log: Option<File>,
}

impl KernelLog {
    /// From now on. Where the log may not be read, nothing is ever found.
    pub fn from_now() -> Self {
        let log = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .and_then(|mut log| log.seek(SeekFrom::End(0)).map(|_| log));
        Self { log: log.ok() }
    }

    /// The messages since the last call.
    fn messages(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut record = vec![0; 8192];
        while let Some(log) = &mut self.log {
            match log.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]).into_owned();
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    messages.extend(message.lines().next().map(str::to_owned));
                }
                // Messages were overwritten before they were read; the next are there.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => break,
            }
        }
        messages
    }

    /// The first complaint since the last call, with the lines after it.
    pub fn complaint(&mut self) -> Option<String> {
        complaint(&self.messages())
    }
}

fn complaint(messages: &[String]) -> Option<String> {
    let is_report = |message: &String| REPORTS.iter().any(|report| message.contains(report));
    let start = messages.iter().position(is_report)?;
    let lines = &messages[start..messages.len().min(start + 40)];
    Some(format!("the kernel's log:\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_found_with_what_follows() {
        let lines = ["hello", "BUG: KASAN: slab-use-after-free", "Read of size 8"];
        let found = complaint(&lines.map(str::to_owned)).expect("there is one");
        assert!(found.contains("use-after-free\nRead of size 8"));
        assert!(!found.contains("hello"));
    }

    #[test]
    fn ordinary_messages_are_none() {
        assert!(complaint(&["hmdfs: link 1 to tablet is up".to_owned()]).is_none());
    }
}
