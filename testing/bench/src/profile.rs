// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the instructions of a workload go.
//!
//! In the guest, the measured runs of a workload are marked for the emulator's plugin
//! (`testing/profiler`), which counts instructions by thread and address. What it writes is put
//! together here with the symbols of the kernel and of the module.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{bail, Context, Result};

/// A system call that does not exist; the plugin knows the number.
const MARK: libc::c_long = 1023;

/// Functions that are printed.
const FUNCTIONS: usize = 100;

static ALLOWED: AtomicBool = AtomicBool::new(false);
static MEASURED: AtomicBool = AtomicBool::new(false);

/// This run is profiled.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

/// Whether what runs now counts.
pub fn set(measured: bool) {
    MEASURED.store(measured, Ordering::Relaxed);
}

/// Counting begins, or ends.
pub fn mark() {
    if ALLOWED.load(Ordering::Relaxed) && MEASURED.load(Ordering::Relaxed) {
        // SAFETY: The system call does not exist, so it does nothing but fail.
        unsafe { libc::syscall(MARK) };
    }
}

/// Says what only the guest knows: how many operations were counted, and where the module is.
pub fn say(operations: u64) -> Result<()> {
    if ALLOWED.load(Ordering::Relaxed) {
        let text = fs::read_to_string("/sys/module/hmdfs/sections/.text");
        let module = text.unwrap_or_else(|_| "0x0".to_owned());
        println!("@profile\t{operations}\t{}", module.trim());
    }
    Ok(())
}

/// Addresses with what begins there, sorted.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    /// From the output of nm(1) of the kernel and of the module, whose `.text` is at `base`.
    fn read(kernel: &str, module: &str, base: u64) -> Result<Self> {
        let mut symbols = Vec::new();
        for (path, offset) in [(kernel, 0), (module, base)] {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            for line in text.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [address, kind, name] = words.as_slice() else {
                    continue;
                };
                let function = matches!(*kind, "t" | "T" | "w" | "W");
                if let (true, Ok(address)) = (function, u64::from_str_radix(address, 16)) {
                    symbols.push((address.wrapping_add(offset), function_name(name)));
                }
            }
        }
        symbols.sort();
        Ok(Self(symbols))
    }

    /// The function at an address, and whether that is its beginning.
    fn find(&self, address: u64) -> (&str, bool) {
        if address < 1 << 63 {
            return ("(programs)", false);
        }
        let after = self.0.partition_point(|(start, _)| *start <= address);
        match after.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some((start, name)) => (name, *start == address),
            None => ("(unknown)", false),
        }
    }
}

/// The readable name of a function that may be one of Rust.
fn function_name(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

#[derive(Default, Clone, Copy)]
struct Cost {
    instructions: u64,
    calls: u64,
}

/// Prints what each thread and each function took, for one operation.
///
/// `counts` is what the plugin wrote, with the guest's line `@profile` in front; `symbols` and
/// `module` are the output of nm(1) for the kernel and for the module.
pub fn report(counts: &str, symbols: &str, module: &str) -> Result<()> {
    let text = fs::read_to_string(counts).with_context(|| format!("cannot read {counts}"))?;
    let mut lines = text.lines();
    let first: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let ["@profile", operations, base] = first.as_slice() else {
        bail!("{counts} does not begin with what the guest said: nothing was measured");
    };
    let operations: f64 = operations.parse().context("not a number of operations")?;
    let base = u64::from_str_radix(base.trim_start_matches("0x"), 16).context("not an address")?;
    let symbols = Symbols::read(symbols, module, base)?;

    let mut threads: BTreeMap<String, Cost> = BTreeMap::new();
    let mut functions: HashMap<&str, Cost> = HashMap::new();
    // Of these, the sum of the third arguments takes the place of instructions.
    let mut callers: HashMap<&str, Cost> = HashMap::new();
    let mut total = 0;
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [thread, address, instructions, executions] = fields.as_slice() else {
            bail!("a line of {counts} is cut off: {line}");
        };
        let address = u64::from_str_radix(address, 16)?;
        if *thread == "callers" {
            let cost = Cost {
                calls: instructions.parse()?,
                instructions: executions.parse()?,
            };
            let caller = callers.entry(symbols.find(address).0).or_default();
            caller.calls += cost.calls;
            caller.instructions = caller.instructions.wrapping_add(cost.instructions);
            continue;
        }
        let instructions: u64 = instructions.parse()?;
        let executions: u64 = executions.parse()?;
        let (name, beginning) = symbols.find(address);
        total += instructions;
        // Workers are told apart by what they work for, not by their numbers.
        let thread = match thread.split_once(['+', '-']) {
            Some((worker, work)) if worker.starts_with("kworker/") => format!("kworker {work}"),
            _ => (*thread).to_owned(),
        };
        threads.entry(thread).or_default().instructions += instructions;
        let cost = functions.entry(name).or_default();
        cost.instructions += instructions;
        cost.calls += if beginning { executions } else { 0 };
    }
    let line = |name: &str, cost: Cost| {
        println!(
            "{:>6.2} % {:>12.1} {:>10.2}  {name}",
            100.0 * cost.instructions as f64 / total as f64,
            cost.instructions as f64 / operations,
            cost.calls as f64 / operations,
        );
    };
    println!("for one of {operations} operations: share, instructions, calls");
    let all = Cost {
        instructions: total,
        calls: 0,
    };
    line("everything", all);
    println!("by thread");
    let mut sorted: Vec<_> = threads.into_iter().collect();
    sorted.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.instructions));
    for (name, cost) in &sorted {
        line(name, *cost);
    }
    println!("by function");
    let mut sorted: Vec<_> = functions.into_iter().collect();
    sorted.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.instructions));
    for (name, cost) in sorted.iter().take(FUNCTIONS) {
        line(name, *cost);
    }
    if callers.is_empty() {
        return Ok(());
    }
    println!("calls by caller, and the sum of the third arguments");
    let mut sorted: Vec<_> = callers.into_iter().collect();
    sorted.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.calls));
    for (name, cost) in sorted.iter().take(FUNCTIONS) {
        let calls = cost.calls as f64 / operations;
        let sum = cost.instructions as f64 / operations;
        println!("{calls:>10.2} {sum:>14.1}  {name}");
    }
    Ok(())
}
