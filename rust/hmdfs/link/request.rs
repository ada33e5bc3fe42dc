// SPDX-License-Identifier: GPL-2.0

//! What the rest of the file system hands to a peer, and gets back.

use hmdfs_kapi::page_run::PageRun;
use kernel::{
    iov::IovIterDest,
    prelude::*, //
};

/// What becomes of a request that is executed more than once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing: it is sent again whenever that helps.
    None,
    /// It changes something, but nothing more when it is done again before something else is, as
    /// writing the same data to the same place. Its body begins with `Once`, so that no copy
    /// of it is executed later.
    Same,
    /// It must not be executed twice. Its body begins with `Once`.
    Once,
}

/// A compound on its way to a peer.
pub(crate) struct Request {
    /// The body, made with `proto::RequestWriter`.
    pub(crate) body: KVVec<u8>,
    /// The data after it, of a compound that writes.
    pub(crate) data: Option<PageRun>,
    /// Most bytes of data that the reply may carry; zero when none are expected.
    pub(crate) data_limit: u32,
    /// Whether it may be executed more than once.
    pub(crate) effect: Effect,
    /// Whether the peer's disk may need long for it.
    pub(crate) slow: bool,
}

/// What the peer answered.
pub(crate) struct Reply {
    /// The body, to be read with `proto::ReplyReader`.
    pub(crate) body: KVVec<u8>,
    /// Bytes of data that followed the body.
    pub(crate) data_length: u32,
    /// These bytes, of a synchronous call; otherwise empty, for they went to the
    /// completion's destination.
    pub(crate) data: KVVec<u8>,
    /// The epoch in which the peer said so: in another one it may have lost what it had not
    /// stored.
    pub(crate) epoch: u64,
}

/// Where the data of a reply are received: memory that the kernel describes, such as the folios of
/// a netfs subrequest. Records are decrypted in place. It is advanced by what arrived.
pub(crate) type Destination<'a> = &'a mut IovIterDest<'a>;

/// Whom the reply of an asynchronous call goes to.
///
/// No lock of a link is held while a method runs, and both may sleep. They may
/// run in memory reclaim's way: allocations are made as with `GFP_NOFS`.
pub(crate) trait Completion: Send {
    /// Room for the next data, at least `length` bytes.
    ///
    /// Called before [`Completion::complete`], in the thread that receives, for each part in which the
    /// data arrive; all together they are at most the request's limit. It must be as the last
    /// part has left it. When this fails, or there is less room, all data are dropped and the
    /// call completes with that error, or `EIO`.
    fn destination(&mut self, length: u32) -> Result<Destination<'_>>;

    /// The link ended before all data were there: they will arrive again, from the first one on.
    fn rewind(&mut self) {}

    /// Ends the call; called exactly once, then the value is dropped.
    ///
    /// The destination is not touched any more. Errors: `ENOTCONN` when the peer is
    /// or goes offline, `ETIMEDOUT` after the deadline, `ENOMEM`, and the error of
    /// the peer's reply when it did not begin with the request.
    fn complete(&mut self, result: Result<Reply>);
}
