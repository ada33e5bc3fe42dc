// SPDX-License-Identifier: GPL-2.0

//! Notifications.

use crate::{link::Link, mount::Mount, peer::Peer};

pub(crate) fn mount(_mount: &Mount, _mounted: bool) {}
pub(crate) fn link(_mount: &Mount, _link: &Link) {}
pub(crate) fn device(_mount: &Mount, _peer: &Peer) {}
