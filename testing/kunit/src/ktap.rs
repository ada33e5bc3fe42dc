// SPDX-License-Identifier: MIT OR Apache-2.0

//! KTAP as KUnit writes it into a kernel's log.
//!
//! A document is `KTAP version 1`, a plan `1..N` and N results, each of which may
//! come after a nested document that is indented by four more spaces. KUnit nests
//! suites, cases, and the parameters of a case. Lines of other parts of the kernel
//! may stand anywhere between.
//!
//! The kernel's documentation: `Documentation/dev-tools/ktap.rst`.

/// How a test case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All its expectations held.
    Passed,
    /// An expectation did not hold.
    Failed,
    /// It did not run, for this reason.
    Skipped(String),
}

/// One test case's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The suite that it belongs to.
    pub suite: String,
    /// The case's name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What it said, if it failed.
    pub diagnostics: Vec<String>,
}

/// All that a log tells about its tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The test cases in the order in which they ended.
    pub cases: Vec<Case>,
    /// What is wrong with the log: tests that were announced and did not end, ...
    pub problems: Vec<String>,
}

impl Report {
    /// Whether at least one test ran and nothing at all is wrong.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let passed = |case: &Case| case.outcome != Outcome::Failed;
        self.problems.is_empty() && !self.cases.is_empty() && self.cases.iter().all(passed)
    }
}

/// Spaces by which a nested document is indented.
const INDENT: usize = 4;

/// Nesting of a test case's own result: suites stand at 0, their cases at 1.
const CASE_DEPTH: usize = 1;

/// A document that has begun and not ended.
#[derive(Debug, Default)]
struct Document {
    depth: usize,
    name: Option<String>,
    plan: Option<usize>,
    results: usize,
    failures: usize,
}

impl Document {
    fn describe(&self) -> String {
        match (&self.name, self.depth) {
            (Some(name), _) => name.clone(),
            (None, 0) => "the list of suites".to_owned(),
            (None, _) => "a suite without a name".to_owned(),
        }
    }

    /// What is missing at its end.
    fn problem(&self) -> Option<String> {
        match self.plan {
            // How many parameters a case has is not always known before it ran.
            None if self.depth > CASE_DEPTH => None,
            None => Some(format!("{}: has no plan", self.describe())),
            Some(plan) if plan != self.results => Some(format!(
                "{}: {plan} results were announced, {} are there",
                self.describe(),
                self.results
            )),
            Some(_) => None,
        }
    }
}

/// A line without the kernel's time stamp, split into its depth and its text.
fn split(line: &str) -> (usize, &str) {
    let mut text = line.trim_end();
    // "[    1.234567] " and, on some kernels, "[    T12] " behind it.
    while let Some(rest) = text.strip_prefix('[') {
        match rest.split_once("] ") {
            Some((stamp, rest))
                if stamp
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || " .".contains(c)) =>
            {
                text = rest
            }
            _ => break,
        }
    }
    let trimmed = text.trim_start_matches(' ');
    ((text.len() - trimmed.len()) / INDENT, trimmed)
}

/// The parts of "ok 1 name # SKIP reason".
struct ResultLine {
    name: String,
    outcome: Outcome,
}

fn result_line(text: &str) -> Option<ResultLine> {
    let (passed, rest) = match (text.strip_prefix("ok "), text.strip_prefix("not ok ")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let (number, rest) = rest.split_once(' ')?;
    number.parse::<usize>().ok()?;
    let rest = rest.strip_prefix("- ").unwrap_or(rest);
    let (name, directive) = rest.split_once('#').unwrap_or((rest, ""));
    let outcome = match (directive.trim().strip_prefix("SKIP"), passed) {
        (Some(reason), true) => Outcome::Skipped(reason.trim().to_owned()),
        (_, true) => Outcome::Passed,
        (_, false) => Outcome::Failed,
    };
    Some(ResultLine {
        name: name.trim().to_owned(),
        outcome,
    })
}

fn plan_line(text: &str) -> Option<usize> {
    text.strip_prefix("1..")?.parse().ok()
}

/// Reads a kernel's log.
#[must_use]
pub fn parse(log: &str) -> Report {
    let mut parser = Parser::default();
    for line in log.lines() {
        parser.line(line);
    }
    parser.finish()
}

#[derive(Default)]
struct Parser {
    report: Report,
    open: Vec<Document>,
    diagnostics: Vec<String>,
}

impl Parser {
    fn line(&mut self, line: &str) {
        let (depth, text) = split(line);
        if text == "KTAP version 1" {
            self.close(depth);
            self.open.push(Document {
                depth,
                ..Document::default()
            });
        } else if let Some(name) = text.strip_prefix("# Subtest: ") {
            if let Some(document) = self
                .open
                .last_mut()
                .filter(|document| document.depth == depth)
            {
                document.name = Some(name.to_owned());
            }
        } else if let Some(plan) = plan_line(text) {
            if let Some(document) = self
                .open
                .last_mut()
                .filter(|document| document.depth == depth)
            {
                document.plan = Some(plan);
            }
        } else if let Some(result) = result_line(text) {
            self.result(depth, result);
        } else if !self.open.is_empty() && text.starts_with("# ") {
            self.diagnostics.push(text[2..].to_owned());
        } else if !self.open.is_empty() && depth >= CASE_DEPTH {
            // The text below "EXPECTATION FAILED" is indented and has no mark.
            self.diagnostics.push(text.to_owned());
        }
    }

    /// Ends the documents that are as deep as `depth` or deeper.
    fn close(&mut self, depth: usize) -> Option<Document> {
        let mut last = None;
        while self
            .open
            .last()
            .is_some_and(|document| document.depth >= depth)
        {
            let Some(document) = self.open.pop() else {
                break;
            };
            self.report.problems.extend(document.problem());
            last = Some(document);
        }
        last
    }

    fn result(&mut self, depth: usize, result: ResultLine) {
        let ended = self.close(depth + 1);
        let Some(document) = self
            .open
            .last_mut()
            .filter(|document| document.depth == depth)
        else {
            // Only what a document announced counts.
            return;
        };
        document.results += 1;
        if result.outcome == Outcome::Failed {
            document.failures += 1;
        }
        if depth == CASE_DEPTH {
            let suite = document.describe();
            let diagnostics = std::mem::take(&mut self.diagnostics);
            self.report.cases.push(Case {
                suite,
                name: result.name,
                diagnostics: if result.outcome == Outcome::Failed {
                    diagnostics
                } else {
                    Vec::new()
                },
                outcome: result.outcome,
            });
        } else if depth < CASE_DEPTH {
            self.suite_result(&result, ended.as_ref());
        }
    }

    /// A suite that fails although all its cases passed failed outside of them.
    fn suite_result(&mut self, result: &ResultLine, suite: Option<&Document>) {
        self.diagnostics.clear();
        match suite {
            None => self
                .report
                .problems
                .push(format!("{}: has a result and no cases", result.name)),
            Some(suite) if result.outcome == Outcome::Failed && suite.failures == 0 => {
                self.report
                    .problems
                    .push(format!("{}: failed outside of its cases", result.name));
            }
            Some(_) => {}
        }
    }

    fn finish(mut self) -> Report {
        self.close(0);
        if self.report.cases.is_empty() {
            self.report.problems.push("no test was run".to_owned());
        }
        self.report
    }
}

#[cfg(test)]
mod tests;
