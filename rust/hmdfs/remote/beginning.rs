// SPDX-License-Identifier: GPL-2.0

//! The beginning of a file, which comes along when the file is opened, or before that with another
//! one of its directory ([`super::ahead`]).
//!
//! The first reads are answered from it, without a round trip and without a page of the cache. It is
//! given up when the file is closed. A file that was closed without being read comes without its
//! beginning from then on, until somebody reads it.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex,
    },
};

use super::{ahead::Batch, inode::Node};
use crate::mount::Question;

/// What is kept of the last opening of a file.
#[pin_data]
pub(super) struct Opening {
    /// Taken on the way of a read, under the locks of folios.
    #[pin]
    beginning: Mutex<Option<Beginning>>,
    /// Whether the file was opened last without being read; 0 or 1.
    unread: Atomic<u32>,
}

impl Opening {
    /// It was not opened yet.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            beginning <- new_mutex!(None, "hmdfs::remote::Beginning"),
            unread: Atomic::new(0),
        })
    }
}

/// The first bytes of a file.
pub(super) struct Beginning {
    pub(super) data: KVVec<u8>,
    /// Whether that is all of the file.
    pub(super) end_of_file: bool,
    /// Number of the question that it answers.
    number: u64,
    /// Whether anybody read it.
    used: bool,
    /// What it came with, if that is to know when it is used.
    batch: Option<Arc<Batch>>,
}

impl Beginning {
    /// What came with the opening of a file.
    pub(super) fn new(question: Question, data: KVVec<u8>, end_of_file: bool) -> Self {
        Self {
            data,
            end_of_file,
            number: question.number,
            used: false,
            batch: None,
        }
    }

    /// All of a file that was fetched ahead, with others.
    pub(super) fn ahead(question: Question, data: KVVec<u8>, batch: Arc<Batch>) -> Self {
        Self {
            batch: Some(batch),
            ..Self::new(question, data, true)
        }
    }

    /// The same, of which `batch` is to know when it is used.
    pub(super) fn noted(self, batch: Option<Arc<Batch>>) -> Self {
        Self { batch, ..self }
    }
}

impl Node {
    /// Keeps the beginning of the file for the reads that follow its opening, or gives it up.
    pub(super) fn set_beginning(&self, beginning: Option<Beginning>) {
        *self.opening().beginning.lock() = beginning;
    }

    /// Calls `use_it` with the beginning of the file, if it is there.
    pub(super) fn with_beginning<R>(
        &self,
        use_it: impl FnOnce(&Beginning) -> Option<R>,
    ) -> Option<R> {
        let mut beginning = self.opening().beginning.lock();
        let beginning = (*beginning).as_mut()?;
        if !self.knows(beginning.number) {
            // This device has changed the file since.
            return None;
        }
        let result = use_it(beginning);
        if result.is_some() && !beginning.used {
            beginning.used = true;
            beginning.batch.iter().for_each(|batch| batch.note_use());
        }
        result
    }

    /// Gives up the file if it came with `batch` and nobody has read it.
    pub(super) fn forget_ahead(&self, batch: &Arc<Batch>) {
        let mut beginning = self.opening().beginning.lock();
        let is_unused = |kept: &Beginning| {
            let its = kept.batch.as_ref();
            !kept.used && its.is_some_and(|its| Arc::ptr_eq(its, batch))
        };
        if beginning.as_ref().is_some_and(is_unused) {
            *beginning = None;
        }
    }

    /// Gives up the beginning of the file, which was closed. When nobody had read it, it is not
    /// asked for again until somebody reads the file.
    pub(super) fn closed(&self) {
        if let Some(beginning) = self.opening().beginning.lock().take() {
            self.set_read(beginning.used);
        }
    }

    /// Whether the file was read after it was opened, so far as is known.
    pub(super) fn is_read(&self) -> bool {
        self.opening().unread.load(Relaxed) == 0
    }

    /// Says whether the file was read after it was opened.
    pub(super) fn set_read(&self, read: bool) {
        self.opening().unread.store((!read).into(), Relaxed);
    }
}
