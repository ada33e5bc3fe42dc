// SPDX-License-Identifier: MIT OR Apache-2.0

//! The Test Anything Protocol, version 13.

use std::io::{self, Write};

/// Writes test points as they come.
pub struct Report<W: Write> {
    out: W,
    count: usize,
    failed: usize,
}

impl<W: Write> Report<W> {
    /// Begins a report.
    pub fn begin(mut out: W) -> io::Result<Self> {
        writeln!(out, "TAP version 13")?;
        Ok(Self {
            out,
            count: 0,
            failed: 0,
        })
    }

    /// A test that passed.
    pub fn pass(&mut self, name: &str) -> io::Result<()> {
        self.count += 1;
        writeln!(self.out, "ok {} - {}", self.count, escape(name))?;
        self.out.flush()
    }

    /// A test that failed, and why.
    pub fn fail(&mut self, name: &str, why: &str) -> io::Result<()> {
        self.count += 1;
        self.failed += 1;
        writeln!(self.out, "not ok {} - {}", self.count, escape(name))?;
        self.note(why)
    }

    /// Something for the reader, not for the program that reads.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            writeln!(self.out, "# {line}")?;
        }
        self.out.flush()
    }

    /// Nothing more can be tested.
    pub fn bail_out(&mut self, why: &str) -> io::Result<()> {
        self.failed += 1;
        writeln!(self.out, "Bail out! {why}")?;
        self.out.flush()
    }

    /// Ends the report; whether all tests passed, and there was one at all.
    pub fn end(mut self) -> io::Result<bool> {
        writeln!(self.out, "1..{}", self.count)?;
        let passed = self.count - self.failed.min(self.count);
        writeln!(self.out, "# {passed} passed, {} failed", self.failed)?;
        self.out.flush()?;
        Ok(self.failed == 0 && self.count > 0)
    }
}

fn escape(name: &str) -> String {
    name.replace('#', "\\#")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Report<&mut Vec<u8>>) -> io::Result<()>) -> (String, bool) {
        let mut out = Vec::new();
        let mut report = Report::begin(&mut out).expect("memory can be written");
        write(&mut report).expect("memory can be written");
        let good = report.end().expect("memory can be written");
        (String::from_utf8(out).expect("text"), good)
    }

    #[test]
    fn all_passed() {
        let (text, good) = text(|report| report.pass("a"));
        assert!(good);
        assert_eq!(
            text,
            "TAP version 13\nok 1 - a\n1..1\n# 1 passed, 0 failed\n"
        );
    }

    #[test]
    fn one_failure_fails_all() {
        let (text, good) = text(|report| {
            report.pass("a")?;
            report.fail("b", "two\nlines")
        });
        assert!(!good);
        assert!(text.contains("not ok 2 - b\n# two\n# lines\n1..2\n# 1 passed, 1 failed\n"));
    }

    #[test]
    fn no_test_is_no_success() {
        assert!(!text(|_| Ok(())).1);
    }

    #[test]
    fn bailing_out_is_no_success() {
        assert!(
            !text(|report| {
                report.pass("a")?;
                report.bail_out("gone")
            })
            .1
        );
    }
}
