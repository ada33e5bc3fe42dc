// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts the instructions that a guest executes, by thread and by address.
//!
//! `tools/profile` loads it into the emulator. Counting begins and ends whenever a program in the
//! guest makes the system call number 1023, which does not exist. In the end there is one line
//! for each thread and block of instructions in the file `out`: name of the thread, address,
//! instructions, executions.
//!
//! With `callers=`, the address of a function, there is also a line for each place that calls it:
//! `callers`, the address behind the call, the calls, and the sum of the third arguments, which of
//! memset(), memcpy() and the like are lengths.
//!
//! Arguments: `out=FILE`, and as hexadecimal addresses `mark=` (`__x64_sys_ni_syscall`), `switch=`
//! (`__switch_to_asm`) and `init=` (`init_task`).
//!
//! The guest has one processor. What an interrupt does is counted to the thread that it
//! interrupts, as the kernel itself does.

mod qemu;

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_uint, c_void, CStr};
use std::fmt::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Read by QEMU before anything is called.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = qemu::VERSION;

/// The system call that begins and ends counting.
const MARK: u64 = 1023;
/// Where `struct pt_regs` has the number of the system call.
const ORIG_AX: u64 = 15 * 8;
/// Bytes of a thread's structure in which its name is looked for.
const TASK_SIZE: usize = 16 << 10;
/// What the kernel calls the thread of `init_task`.
const IDLE: &[u8] = b"swapper/0\0";
/// Bytes of a thread's name, with the zero at the end.
const NAME_SIZE: usize = 16;

static PROFILER: OnceLock<Mutex<Profiler>> = OnceLock::new();

/// Where a block of instructions begins, and how many they are.
type Block = (u64, u64);

struct Profiler {
    out: String,
    mark: u64,
    switch: u64,
    init: u64,
    counting: bool,
    /// `rdi`, which at `mark` is where the registers of the program are.
    rdi: Register,
    /// `rsi`, which at `switch` is the thread that goes on.
    rsi: Register,
    /// `rdx`, the third argument of a function.
    rdx: Register,
    /// `rsp`, which at a function's beginning is where the address of the caller is.
    rsp: Register,
    /// The function whose callers are wanted.
    called: Option<u64>,
    /// By the address behind the call: calls, and the sum of the third arguments.
    callers: HashMap<u64, (u64, u64)>,
    buffer: Buffer,
    /// Where a thread's structure has the name, once it is known.
    name_offset: Option<u64>,
    blocks: Vec<Block>,
    numbers: HashMap<Block, usize>,
    threads: Vec<Thread>,
    /// By the address of the thread's structure.
    thread_of: HashMap<u64, usize>,
    current: usize,
}

struct Thread {
    task: u64,
    name: String,
    /// Executions of each block.
    counts: Vec<u64>,
}

/// The handle of a register, once the processor exists.
struct Register(*mut c_void);
/// Memory in which QEMU puts values.
struct Buffer(*mut qemu::ByteArray);

// SAFETY: Both belong to the emulator, which lets any of its threads use them; they are used with
// the profiler locked only.
unsafe impl Send for Register {}
// SAFETY: As above.
unsafe impl Send for Buffer {}

impl Buffer {
    fn clear(&self) -> *mut qemu::ByteArray {
        // SAFETY: The array was made by `g_byte_array_new` and is never freed.
        unsafe { qemu::g_byte_array_set_size(self.0, 0) };
        self.0
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: The array has `len` bytes at `data`, and nobody else uses it.
        unsafe {
            let array = &*self.0;
            if array.len == 0 {
                return &[];
            }
            std::slice::from_raw_parts(array.data, array.len as usize)
        }
    }
}

fn profiler() -> Option<std::sync::MutexGuard<'static, Profiler>> {
    Some(
        PROFILER
            .get()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    )
}

impl Profiler {
    fn memory(&self, address: u64, length: usize) -> Option<&[u8]> {
        // SAFETY: Called while the processor executes a block, as QEMU demands, with an array that
        // is ours.
        let found =
            unsafe { qemu::qemu_plugin_read_memory_vaddr(address, self.buffer.clear(), length) };
        found.then(|| self.buffer.bytes())
    }

    /// The value of a register, in a callback that asked for registers.
    fn register(&self, register: &Register) -> Option<u64> {
        if register.0.is_null() {
            return None;
        }
        // SAFETY: The handle came from `qemu_plugin_get_registers`, and the array is ours.
        unsafe { qemu::qemu_plugin_read_register(register.0, self.buffer.clear()) };
        self.buffer.bytes().try_into().ok().map(u64::from_le_bytes)
    }

    /// Takes the thread that goes on as the current one.
    fn switch(&mut self) {
        let Some(task) = self.register(&self.rsi) else {
            return;
        };
        self.current = match self.thread_of.get(&task) {
            Some(&known) => known,
            None => {
                self.threads.push(Thread {
                    task,
                    name: String::new(),
                    counts: Vec::new(),
                });
                self.thread_of.insert(task, self.threads.len() - 1);
                self.threads.len() - 1
            }
        };
        if self.counting {
            self.learn_name(self.current);
        }
    }

    /// Reads the thread's name, which may change: that of a worker tells what it works on.
    fn learn_name(&mut self, number: usize) {
        if self.name_offset.is_none() {
            let place = self
                .memory(self.init, TASK_SIZE)
                .and_then(|task| task.windows(IDLE.len()).position(|bytes| bytes == IDLE));
            self.name_offset = place.map(|place| place as u64);
        }
        let Some(offset) = self.name_offset else {
            return;
        };
        let task = self.threads[number].task;
        let name = self
            .memory(task.wrapping_add(offset), NAME_SIZE)
            .map(|bytes| {
                let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).into_owned()
            });
        if let Some(name) = name {
            self.threads[number].name = name;
        }
    }

    fn mark(&mut self) {
        let number = self
            .register(&self.rdi)
            .and_then(|registers| self.memory(registers.wrapping_add(ORIG_AX), 8))
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes);
        if number != Some(MARK) {
            return;
        }
        self.counting = !self.counting;
        if self.counting {
            self.learn_name(self.current);
        }
    }

    /// The function whose callers are wanted begins.
    fn called(&mut self) {
        if !self.counting {
            return;
        }
        let argument = self.register(&self.rdx).unwrap_or(0);
        let caller = self
            .register(&self.rsp)
            .and_then(|stack| self.memory(stack, 8))
            .and_then(|bytes| bytes.try_into().ok())
            .map(u64::from_le_bytes);
        if let Some(caller) = caller {
            let (calls, sum) = self.callers.entry(caller).or_default();
            *calls += 1;
            *sum = sum.wrapping_add(argument);
        }
    }

    fn count(&mut self, block: usize) {
        let counts = &mut self.threads[self.current].counts;
        if counts.len() <= block {
            counts.resize(block + 1, 0);
        }
        counts[block] += 1;
    }

    fn report(&self) -> String {
        let mut lines = String::new();
        for thread in &self.threads {
            for (&executions, &(address, length)) in thread.counts.iter().zip(&self.blocks) {
                if executions > 0 {
                    let name = if thread.name.is_empty() {
                        "?"
                    } else {
                        &thread.name
                    };
                    let instructions = executions.wrapping_mul(length);
                    // Writing to a string cannot fail.
                    let _ = writeln!(lines, "{name}\t{address:x}\t{instructions}\t{executions}");
                }
            }
        }
        for (caller, (calls, sum)) in &self.callers {
            let _ = writeln!(lines, "callers\t{caller:x}\t{calls}\t{sum}");
        }
        lines
    }
}

extern "C" fn executed(_vcpu: c_uint, data: *mut c_void) {
    if let Some(mut profiler) = profiler() {
        if profiler.counting {
            profiler.count(data as usize);
        }
    }
}

extern "C" fn switched(_vcpu: c_uint, _data: *mut c_void) {
    if let Some(mut profiler) = profiler() {
        profiler.switch();
    }
}

extern "C" fn called(_vcpu: c_uint, _data: *mut c_void) {
    if let Some(mut profiler) = profiler() {
        profiler.called();
    }
}

extern "C" fn marked(_vcpu: c_uint, _data: *mut c_void) {
    if let Some(mut profiler) = profiler() {
        profiler.mark();
    }
}

extern "C" fn translated(_id: u64, block: *mut qemu::Block) {
    let Some(mut profiler) = profiler() else {
        return;
    };
    // SAFETY: The block is valid during this callback.
    let (address, length) = unsafe {
        (
            qemu::qemu_plugin_tb_vaddr(block),
            qemu::qemu_plugin_tb_n_insns(block) as u64,
        )
    };
    let next = profiler.blocks.len();
    let number = *profiler.numbers.entry((address, length)).or_insert(next);
    if number == next {
        profiler.blocks.push((address, length));
    }
    let special: Option<extern "C" fn(c_uint, *mut c_void)> = if address == profiler.switch {
        Some(switched)
    } else if address == profiler.mark {
        Some(marked)
    } else if Some(address) == profiler.called {
        Some(called)
    } else {
        None
    };
    // SAFETY: As above; the number that goes along is no pointer to anything.
    unsafe {
        if let Some(callback) = special {
            qemu::qemu_plugin_register_vcpu_tb_exec_cb(
                block,
                callback,
                qemu::READ_REGISTERS,
                std::ptr::null_mut(),
            );
        }
        qemu::qemu_plugin_register_vcpu_tb_exec_cb(
            block,
            executed,
            qemu::NO_REGISTERS,
            number as *mut c_void,
        );
    }
}

extern "C" fn processor_exists(_id: u64, _vcpu: c_uint) {
    let Some(mut profiler) = profiler() else {
        return;
    };
    // SAFETY: Called for a processor that exists, as QEMU demands; the array that it gives away
    // has `len` descriptors with names that live as long as the emulator.
    unsafe {
        let array = qemu::qemu_plugin_get_registers();
        let descriptors = std::slice::from_raw_parts(
            (*array).data.cast::<qemu::RegisterDescriptor>(),
            (*array).len as usize,
        );
        for descriptor in descriptors {
            match CStr::from_ptr(descriptor.name).to_bytes() {
                b"rdi" => profiler.rdi = Register(descriptor.handle),
                b"rsi" => profiler.rsi = Register(descriptor.handle),
                b"rdx" => profiler.rdx = Register(descriptor.handle),
                b"rsp" => profiler.rsp = Register(descriptor.handle),
                _ => {}
            }
        }
    }
}

extern "C" fn ended(_id: u64, _data: *mut c_void) {
    if let Some(profiler) = profiler() {
        if let Err(error) = std::fs::write(&profiler.out, profiler.report()) {
            eprintln!("profiler: cannot write {}: {error}", profiler.out);
        }
    }
}

fn new(arguments: &[String]) -> Result<Profiler, String> {
    let value = |name: &str| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| format!("the argument {name} is missing"))
    };
    let address = |name: &str| {
        u64::from_str_radix(value(name)?, 16).map_err(|_| format!("{name} is not an address"))
    };
    let idle = Thread {
        task: address("init")?,
        name: String::new(),
        counts: Vec::new(),
    };
    Ok(Profiler {
        out: value("out")?.to_owned(),
        mark: address("mark")?,
        switch: address("switch")?,
        init: idle.task,
        counting: false,
        rdi: Register(std::ptr::null_mut()),
        rsi: Register(std::ptr::null_mut()),
        rdx: Register(std::ptr::null_mut()),
        rsp: Register(std::ptr::null_mut()),
        called: value("callers")
            .ok()
            .map(|_| address("callers"))
            .transpose()?,
        callers: HashMap::new(),
        // SAFETY: Needs nothing.
        buffer: Buffer(unsafe { qemu::g_byte_array_new() }),
        name_offset: None,
        blocks: Vec::new(),
        numbers: HashMap::new(),
        thread_of: HashMap::from([(idle.task, 0)]),
        threads: vec![idle],
        current: 0,
    })
}

/// Called by QEMU with the plugin's arguments; anything but zero ends the emulator.
///
/// # Safety
///
/// `argv` has `argc` strings.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const qemu::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let arguments: Vec<String> = (0..usize::try_from(argc).unwrap_or(0))
        .map(|index| {
            // SAFETY: As the caller promises.
            let argument = unsafe { CStr::from_ptr(*argv.add(index)) };
            argument.to_string_lossy().into_owned()
        })
        .collect();
    match new(&arguments) {
        Ok(profiler) => drop(PROFILER.set(Mutex::new(profiler))),
        Err(error) => {
            eprintln!("profiler: {error}");
            return 1;
        }
    }
    // SAFETY: The identifier is the one that QEMU gave, and the callbacks have the signatures that
    // it wants.
    unsafe {
        qemu::qemu_plugin_register_vcpu_init_cb(id, processor_exists);
        qemu::qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        qemu::qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut());
    }
    0
}
