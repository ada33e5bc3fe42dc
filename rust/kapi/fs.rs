// SPDX-License-Identifier: GPL-2.0

//! Abstractions for file systems.
