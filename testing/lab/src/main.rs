// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many devices in one guest: the tests and the demonstration.

fn main() {}
