// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many devices in one guest: what tests, the demonstration and the benchmark are
//! made of.

pub mod bad_blocks;
pub mod conformance;
pub mod demo;
pub mod device;
pub mod disk;
pub mod exercise;
pub mod fleet;
pub mod freeze;
pub mod fsmount;
pub mod hmdfsctl;
pub mod impostor;
pub mod kernel_log;
pub mod liar;
pub mod lock;
pub mod loopback;
pub mod manifest;
pub mod mapping;
pub mod module;
pub mod net;
pub mod netns;
pub mod process;
pub mod random;
pub mod relay;
pub mod runner;
pub mod sample;
pub mod shell;
pub mod storage;
pub mod stuck;
pub mod suite;
pub mod tap;
pub mod tree;
pub mod wait;
