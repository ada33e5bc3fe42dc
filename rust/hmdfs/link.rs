// SPDX-License-Identifier: GPL-2.0

//! Links: one authenticated, encrypted connection to a peer each.
//!
//! A link has a thread that receives and does nothing else: it gives replies to
//! the calls that wait for them, and requests to the mount's queue. So two devices
//! can serve each other at once, and a slow disk never keeps a reply from being
//! seen. Whoever has something to send sends it, one message at a time, but for those with
//! much data: small messages may be sent between their parts.
//!
//! # Life
//!
//! [`Link::start`] adds the link to its peer and starts the thread. Anything may
//! [end](Link::end) it: the socket is shut down, which makes the thread return. Its
//! last act is to queue the rest (`finish`), which joins the thread and only then
//! gives the calls back to the peer, which sends them again or ends them: nobody
//! receives into the memory of a call that ended.
//! The peer refers to its links and each link to its peer and mount; `finish` takes
//! the link out of the peer.
//!
//! # Locks
//!
//! `sender` is held while a message or a part of one is sent, which may last until the peer reads
//! or the link is cut, and `bulk` before it for all of a message with much data. `calls`, `pulse`, `notices` and `state` are spin locks around a few
//! assignments; no other lock is taken under them.

mod arriving;
mod calls;
mod counters;
mod liveness;
mod notice;
mod receive;
pub(crate) mod request;
mod send;
mod serve;
mod state;

pub(crate) use counters::Counters;
pub(crate) use request::{
    Completion,
    Destination,
    Effect,
    Reply,
    Request, //
};
pub(crate) use send::Sending;
pub(crate) use state::{
    DownReason,
    LinkState,
    Role, //
};

use crate::{
    control::notify,
    mount::Mount,
    peer::{
        LinkRefusal,
        Peer, //
    },
};
use calls::Table;
use hmdfs_kapi::{
    kthread::Kthread,
    memalloc::NofsScope,
    net::{
        tls::Unfit,
        Socket, //
    },
    workqueue::cancel_delayed_work, //
};
use hmdfs_proto::Status;
use kernel::{
    impl_has_delayed_work, impl_has_work, new_condvar, new_delayed_work, new_mutex, new_spinlock,
    new_work,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        CondVar,
        Mutex,
        SpinLock, //
    },
    time::{
        Instant,
        Monotonic, //
    },
    workqueue::{
        DelayedWork,
        Work,
        WorkItem, //
    },
};
use liveness::Pulse;
use notice::Notices;
use send::Sender;
use state::State;

/// How many requests a peer may have waiting here on one link.
pub(crate) const WINDOW: u16 = 64;

/// How many bytes of data in requests a peer may have waiting here on one link.
pub(crate) const DATA_WINDOW: u32 = 16 << 20;

/// Feature bits that this side offers in HELLO. There are none yet.
pub(crate) const FEATURES: u64 = 0;

/// One connection to a peer.
#[pin_data]
pub(crate) struct Link {
    id: u32,
    role: Role,
    mount: Arc<Mount>,
    peer: Arc<Peer>,
    socket: Socket,
    begun: Instant<Monotonic>,
    #[pin]
    state: SpinLock<State>,
    /// Held while a message with much data is sent, by what sends its parts.
    #[pin]
    bulk: Mutex<()>,
    #[pin]
    sender: Mutex<Sender>,
    /// How many want to send little.
    urgent: Atomic<u32>,
    /// A message was sent: whoever let others go first may look again.
    #[pin]
    turn: CondVar,
    #[pin]
    calls: SpinLock<Table>,
    #[pin]
    pulse: SpinLock<Pulse>,
    #[pin]
    notices: SpinLock<Notices>,
    /// When something arrived last, in nanoseconds after `begun`.
    heard: Atomic<i64>,
    /// When the receiver began with a reply, in nanoseconds after
    /// `begun`; zero while it has none.
    filling: Atomic<i64>,
    /// When the message that is being sent was begun, in nanoseconds after `begun`;
    /// zero while there is none.
    sending: Atomic<i64>,
    /// When data of a reply arrived last, in nanoseconds after `begun`.
    flowed: Atomic<i64>,
    /// When the peer took data last, or had written some, in nanoseconds after `begun`.
    taken: Atomic<i64>,
    /// The epoch in which the peer speaks here; known when the link is up.
    epoch: Atomic<u64>,
    /// Requests of the peer that were not answered.
    held: Atomic<u32>,
    /// Bytes of data in requests of the peer that were not executed.
    held_data: Atomic<u32>,
    counters: Counters,
    #[pin]
    thread: Mutex<Option<Kthread>>,
    #[pin]
    finish: Work<Link, 0>,
    #[pin]
    courier: Work<Link, 1>,
    #[pin]
    tick: DelayedWork<Link, 2>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Link { self.finish }
    impl HasWork<Self, 1> for Link { self.courier }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self, 2> for Link { self.tick }
}

/// Why a link did not begin.
pub(crate) enum StartError {
    /// The socket is not an established TLS 1.3 connection.
    Unfit(Unfit),
    /// The socket is a link already.
    InUse,
    /// The mount is going away.
    Unmounting,
    /// The peer takes no more links.
    Refused(LinkRefusal),
    /// No memory, or no thread.
    Other(Error),
}

impl Link {
    /// Begins to use `socket` as a link to `peer`, and gives its number.
    pub(crate) fn start(
        mount: &Arc<Mount>,
        peer: &Arc<Peer>,
        socket: Socket,
        role: Role,
    ) -> Result<u32, StartError> {
        socket.adopt().map_err(StartError::Unfit)?;
        let link = Self::new(mount, peer, socket, role).map_err(StartError::Other)?;
        // From here on whoever shuts the mount down waits for the link.
        mount.peers.admit(&link)?;
        link.schedule_tick();
        match link.spawn_receiver() {
            Ok(()) => Ok(link.id),
            Err(error) => {
                link.end(DownReason::Admin, 0);
                link.finish();
                Err(StartError::Other(error))
            }
        }
    }

    fn new(mount: &Arc<Mount>, peer: &Arc<Peer>, socket: Socket, role: Role) -> Result<Arc<Self>> {
        let table = Table::new()?;
        Arc::pin_init(
            pin_init!(Self {
                id: mount.peers.next_link(),
                role,
                mount: mount.clone(),
                peer: peer.clone(),
                socket,
                begun: Instant::now(),
                state <- new_spinlock!(State::new(), "Link::state"),
                bulk <- new_mutex!((), "Link::bulk"),
                sender <- new_mutex!(Sender::new(), "Link::sender"),
                urgent: Atomic::new(0),
                turn <- new_condvar!("Link::turn"),
                calls <- new_spinlock!(table, "Link::calls"),
                pulse <- new_spinlock!(Pulse::new(), "Link::pulse"),
                notices <- new_spinlock!(Notices::new(), "Link::notices"),
                heard: Atomic::new(0),
                filling: Atomic::new(0),
                sending: Atomic::new(0),
                flowed: Atomic::new(0),
                taken: Atomic::new(0),
                epoch: Atomic::new(0),
                held: Atomic::new(0),
                held_data: Atomic::new(0),
                counters: Counters::new(),
                thread <- new_mutex!(None, "Link::thread"),
                finish <- new_work!("Link::finish"),
                courier <- new_work!("Link::courier"),
                tick <- new_delayed_work!("Link::tick"),
            }),
            GFP_KERNEL,
        )
    }

    fn spawn_receiver(self: &Arc<Self>) -> Result {
        // `finish` takes the thread under the same lock, and so finds it even if it
        // returns at once.
        let mut thread = self.thread.lock();
        let link = self.clone();
        *thread = Some(Kthread::spawn(c"hmdfs-link", move || {
            let (reason, errno) = link.receive();
            link.end(reason, errno);
            let mount = link.mount.clone();
            // It is queued once in the life of a link, and so cannot be in the queue.
            let _ = mount.peers.control().enqueue::<Arc<Self>, 0>(link);
        })?);
        Ok(())
    }

    /// Number of the link, unique among those of its mount.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Whether the two use one connection.
    pub(crate) fn shares_socket(&self, other: &Self) -> bool {
        self.socket.is_same(&other.socket)
    }

    /// Which side opened the connection.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// The other side.
    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The epoch in which the peer speaks here.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// Nanoseconds since the link began.
    fn now(&self) -> i64 {
        self.begun.elapsed().as_nanos()
    }

    /// Ends the link, for the first reason that comes. Does not wait for it to have
    /// ended; says goodbye to the peer if that takes but an instant.
    pub(crate) fn end(&self, reason: DownReason, errno: u32) {
        if !self.state.lock().end(reason, errno) {
            return;
        }
        self.close_calls();
        if reason.is_polite() {
            self.say_goodbye();
        }
        self.socket.shutdown();
    }

    /// Does what is left when the receiver has returned, or was never started.
    fn finish(self: &Arc<Self>) {
        // Joins it.
        drop(self.thread.lock().take());
        cancel_delayed_work::<Self, 2>(self);
        let (was_up, reason, errno) = {
            let state = self.state.lock();
            (state.was_up(), state.reason(), state.errno())
        };
        let name = self.peer.name();
        pr_info!(
            "link {} to {} is down: {} ({})\n",
            self.id,
            name,
            reason.as_str(),
            errno
        );
        if was_up {
            // Even if there is another link, or will be: this side's leases are void.
            self.mount.peers.bump();
        }
        self.peer.remove_link(self, &self.mount, was_up, reason);
        self.return_calls();
        self.fail_notices();
        notify::link(&self.mount, self);
        self.pump();
        self.mount.peers.link_ended();
    }

    /// Lets the calls that wait for room be sent.
    pub(crate) fn pump(&self) {
        if self.peer.has_queue() {
            // Refused when it is in the queue already.
            let control = self.mount.peers.control();
            let _ = control.enqueue::<Arc<Peer>, 0>(self.peer.clone());
        }
    }
}

impl WorkItem<0> for Link {
    type Pointer = Arc<Link>;

    fn run(this: Arc<Link>) {
        let _nofs = NofsScope::enter();
        this.finish();
    }
}

/// The error of a reply.
fn status_error(status: Status) -> Error {
    // CAST: The numbers of the protocol are below 4096.
    Error::from_errno(-(status.errno() as i32))
}
