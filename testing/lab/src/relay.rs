// SPDX-License-Identifier: MIT OR Apache-2.0

//! A relay between two devices, for connections that break at the worst moment.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The port on which a relay listens, on the loopback address of the device that dials.
pub const PORT: u16 = 4711;

/// How long the answers are lost before a connection breaks.
const LOST: Duration = Duration::from_millis(300);

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
    streams: Mutex<Vec<TcpStream>>,
}

impl Relay {
    /// Passes connections on to `target` until it is stopped. What runs this must be where the
    /// device lives that dials.
    pub fn run(&self, target: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", PORT)).context("cannot listen")?;
        listener.set_nonblocking(true)?;
        while !self.state.stopped.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => {
                    // A device that does not answer is not there: the dialling one tries again.
                    let _ = self.connect(stream, target);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(20));
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
        let mut streams = self.streams();
        streams.extend([near, far]);
        Ok(())
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.state
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, what the device that was dialled says gets lost.
    pub fn lose_answers(&self) {
        self.state.deaf.store(true, Ordering::Relaxed);
    }

    /// Breaks all connections: both sides see them end without a word.
    pub fn break_all(&self) {
        for stream in self.streams().drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.state.deaf.store(false, Ordering::Relaxed);
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
    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, from_far: bool) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 {
                break;
            }
            if from_far && self.deaf.load(Ordering::Relaxed) {
                continue;
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}
