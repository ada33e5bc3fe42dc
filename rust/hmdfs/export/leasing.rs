// SPDX-License-Identifier: GPL-2.0

//! The operation that asks for a lease, and what others have written, which comes first.
//!
//! What other peers have written stays with them until somebody wants to see it
//! ([`super::writing`]). A compound asks them for that once: before the first operation that changes
//! the file or wants to know what it is like before a change, or else with the lease. From then on
//! they are not asked any more: what came between would pass for the client's own doing.

use hmdfs_proto::{Lease, Operation};
use kernel::prelude::*;

use super::{compound::Execution, Client};

impl<C: Client + ?Sized> Execution<'_, C> {
    /// `operation` is about to be executed.
    pub(super) fn before(&mut self, operation: &Operation<'_>) -> Result {
        let asks = matches!(operation, Operation::GetChange);
        // What is written goes where others who write know of it, and need not be asked each time.
        let writes = matches!(operation, Operation::Write { .. });
        if (asks || operation.is_change()) && !writes {
            let current = self.current.as_ref();
            if current.is_some_and(|current| current.path.is_reg()) {
                self.act()?;
            }
        }
        // Nobody knows what it was like before that makes it.
        let makes = matches!(
            operation,
            Operation::Create { .. } | Operation::MakeUnnamed { .. }
        );
        self.acted |= operation.is_change() && !makes;
        Ok(())
    }

    /// The client is about to change the current file, or asks what it is like before it does: waits for
    /// what others have written to it by now, unless it has acted before.
    fn act(&mut self) -> Result {
        let (client, export) = (self.client, self.export);
        let acted = core::mem::replace(&mut self.acted, true);
        let current = self.current()?;
        if let Some(peer) = client.peer().filter(|_| !acted) {
            export.leases.is_written(peer, current.noted(export)?);
        }
        Ok(())
    }

    /// Gives the client a lease on the current file, if it can have one, and waits for what others have
    /// written to that, unless the client has acted before.
    pub(super) fn lease(&mut self) -> Result<Lease> {
        let (client, export, acted) = (self.client, self.export, self.acted);
        let current = self.current()?;
        let handle = current.handle(export)?;
        let Some(peer) = client.peer() else {
            return Ok(Lease::None);
        };
        let lease = export
            .leases
            .grant(peer, &current.path, &handle, &export.writers);
        if !current.path.is_reg() {
            return Ok(lease);
        }
        let file = current.noted(export)?;
        // The lease was noted before: whoever opens the file for writing from now on breaks it.
        let is_written = if acted {
            export.leases.may_be_written(peer, file)
        } else {
            export.leases.is_written(peer, file)
        };
        Ok(if is_written { Lease::Busy } else { lease })
    }
}
