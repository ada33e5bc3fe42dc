// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is used of QEMU's interface for plugins (`include/qemu/qemu-plugin.h` there), and of
//! GLib's byte arrays, in which it hands out registers and memory. The program that loads the
//! plugin brings all of it.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The version of the interface that is used: since QEMU 9.1 registers, since 10.0 memory.
pub const VERSION: c_int = 4;

/// `qemu_info_t`, of which nothing is read.
#[repr(C)]
pub struct Info {
    _private: [u8; 0],
}

/// `struct qemu_plugin_tb`, a translated block.
#[repr(C)]
pub struct Block {
    _private: [u8; 0],
}

/// `GByteArray`.
#[repr(C)]
pub struct ByteArray {
    pub data: *mut u8,
    pub len: c_uint,
}

/// `GArray`.
#[repr(C)]
pub struct Array {
    pub data: *mut c_char,
    pub len: c_uint,
}

/// `qemu_plugin_reg_descriptor`.
#[repr(C)]
pub struct RegisterDescriptor {
    pub handle: *mut c_void,
    pub name: *const c_char,
    pub feature: *const c_char,
}

/// `QEMU_PLUGIN_CB_NO_REGS`.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_CB_R_REGS`.
pub const READ_REGISTERS: c_int = 1;

extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: u64,
        callback: extern "C" fn(id: u64, block: *mut Block),
    );
    pub fn qemu_plugin_register_vcpu_init_cb(
        id: u64,
        callback: extern "C" fn(id: u64, vcpu: c_uint),
    );
    pub fn qemu_plugin_register_atexit_cb(
        id: u64,
        callback: extern "C" fn(id: u64, data: *mut c_void),
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        callback: extern "C" fn(vcpu: c_uint, data: *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_vaddr(block: *const Block) -> u64;
    pub fn qemu_plugin_get_registers() -> *mut Array;
    pub fn qemu_plugin_read_register(handle: *mut c_void, value: *mut ByteArray) -> c_int;
    pub fn qemu_plugin_read_memory_vaddr(address: u64, data: *mut ByteArray, length: usize)
        -> bool;
    pub fn g_byte_array_new() -> *mut ByteArray;
    pub fn g_byte_array_set_size(array: *mut ByteArray, length: c_uint) -> *mut ByteArray;
}
