// SPDX-License-Identifier: MIT OR Apache-2.0

//! A relay between two devices, for connections that break at the worst moment.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The port on which a relay listens, on the loopback address of the device that dials; further
/// ones have the ports after it.
pub const PORT: u16 = 4711;

/// How long the answers are lost before a connection breaks.
const LOST: Duration = Duration::from_millis(300);

/// Bytes in front of a TLS record, of which the last two are the number of bytes in it.
const PREFIX: usize = 5;

/// Connections that can be broken.
#[derive(Clone, Default)]
pub struct Relay {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    stopped: AtomicBool,
    /// What the device that was dialled says gets lost.
    deaf: AtomicBool,
    /// How many more TLS records are passed on, of both directions together, if not all.
    left: Mutex<Option<u32>>,
    /// All connections are broken, and there will be no others.
    cut: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Passes connections to `port` on to `target` until it is stopped. What runs this must be where
    /// the device lives that dials.
    pub fn run(&self, port: u16, target: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", port)).context("cannot listen")?;
        listener.set_nonblocking(true)?;
        while !self.state.stopped.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok(_) if self.is_cut() => {}
                Ok((stream, _)) => {
                    // A device that does not answer is not there: the dialling one tries again.
                    let _ = self.connect(stream, target);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error).context("cannot accept"),
            }
        }
        self.break_all();
        Ok(())
    }

    fn connect(&self, near: TcpStream, target: SocketAddr) -> Result<()> {
        near.set_nonblocking(false)?;
        let far = TcpStream::connect_timeout(&target, Duration::from_secs(2))?;
        for (from, to, from_far) in [(&near, &far, false), (&far, &near, true)] {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            let state = self.state.clone();
            thread::spawn(move || state.pass_on(from, to, from_far));
        }
        lock(&self.state.streams).extend([near, far]);
        Ok(())
    }

    /// From now on, what the device that was dialled says gets lost.
    pub fn lose_answers(&self) {
        self.state.deaf.store(true, Ordering::Relaxed);
    }

    /// Breaks all connections: both sides see them end without a word.
    pub fn break_all(&self) {
        self.state.break_all();
    }

    /// After so many more TLS records, of both directions together, breaks all connections with
    /// the next one, which is lost, and passes none on.
    pub fn cut_after(&self, records: u32) {
        *lock(&self.state.left) = Some(records);
    }

    /// Whether it has come to that.
    pub fn is_cut(&self) -> bool {
        self.state.cut.load(Ordering::Relaxed)
    }

    /// Passes everything on again.
    pub fn mend(&self) {
        *lock(&self.state.left) = None;
        self.state.cut.store(false, Ordering::Relaxed);
    }

    /// Breaks all connections in such a way that the dialled device has done more than the
    /// dialling one knows.
    pub fn break_after_losing_answers(&self) {
        self.lose_answers();
        thread::sleep(LOST);
        self.break_all();
    }

    /// Ends it.
    pub fn stop(&self) {
        self.state.stopped.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn break_all(&self) {
        for stream in lock(&self.streams).drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.deaf.store(false, Ordering::Relaxed);
    }

    /// Counts a record; whether it is passed on.
    fn passes(&self) -> bool {
        match &mut *lock(&self.left) {
            None => true,
            Some(0) => {
                self.cut.store(true, Ordering::Relaxed);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, from_far: bool) {
        let mut record = Vec::new();
        while read_record(&mut from, &mut record).is_ok() {
            if from_far && self.deaf.load(Ordering::Relaxed) {
                continue;
            }
            if !self.passes() {
                self.break_all();
                break;
            }
            if to.write_all(&record).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

/// Reads a whole TLS record.
fn read_record(from: &mut TcpStream, record: &mut Vec<u8>) -> std::io::Result<()> {
    record.resize(PREFIX, 0);
    from.read_exact(record)?;
    let length = u16::from_be_bytes([record[PREFIX - 2], record[PREFIX - 1]]);
    record.resize(PREFIX + usize::from(length), 0);
    from.read_exact(&mut record[PREFIX..])
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
