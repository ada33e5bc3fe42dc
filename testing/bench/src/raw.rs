// SPDX-License-Identifier: MIT OR Apache-2.0

//! The raw limits: what a connection does without a file system, in plain TCP and in kTLS.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use anyhow::{anyhow, Result};
use hmdfs_tls::{ktls, Cipher, DeviceId, Session, TrafficKeys};
use zeroize::Zeroizing;

use crate::cell::{figure, gap};
use crate::measure::{now, Measured, Unit};
use crate::network::{Cable, Shape, OWNER};
use crate::plan::{self, Cell};
use crate::selection::{Scale, Selection};

/// A bulk stream from the owner to the reader, and 64 bytes there and back.
pub const WORKLOADS: [&str; 2] = ["stream", "ping_64"];

const PORT: u16 = 5999;
const BLOCK: usize = 128 << 10;

/// The same cipher as hmdfs negotiates. These keys protect nothing, so they are known.
fn session(owner: bool) -> Session {
    let keys = |name: u8| TrafficKeys {
        cipher: Cipher::Aes128Gcm,
        key: Zeroizing::new(vec![name; 16]),
        iv: Zeroizing::new(vec![name; 12]),
        sequence: 0,
    };
    let (tx, rx) = if owner { (1, 2) } else { (2, 1) };
    Session {
        peer: DeviceId::of_public_key(b"nobody"),
        tx: keys(tx),
        rx: keys(rx),
    }
}

fn prepare(stream: &TcpStream, encrypted: bool, owner: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    if encrypted {
        ktls::install(stream.as_fd(), &session(owner))?;
    }
    Ok(())
}

/// The owner's side: for each byte of a command, a stream or pings.
fn serve(listener: &TcpListener, encrypted: bool, size: u64, pings: u64) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    prepare(&stream, encrypted, true)?;
    let block = vec![5; BLOCK];
    let mut ping = [0; 64];
    let mut command = [0];
    while stream.read(&mut command)? == 1 {
        if command == *b"s" {
            for _ in 0..size / BLOCK as u64 {
                stream.write_all(&block)?;
            }
        } else {
            for _ in 0..pings {
                stream.read_exact(&mut ping)?;
                stream.write_all(&ping)?;
            }
        }
    }
    Ok(())
}

fn stream_once(stream: &mut TcpStream, size: u64) -> Result<Measured> {
    let mut block = vec![0; BLOCK];
    let start = now();
    stream.write_all(b"s")?;
    let mut left = size / BLOCK as u64 * BLOCK as u64;
    while left > 0 {
        let length = stream.read(&mut block)? as u64;
        anyhow::ensure!(length > 0, "the stream ended early");
        left = left.saturating_sub(length);
    }
    let nanos = now().saturating_sub(start);
    Ok(Measured {
        nanos,
        ..Measured::default().of(1, size)
    })
}

fn ping_once(stream: &mut TcpStream, pings: u64) -> Result<Measured> {
    let mut ping = [0; 64];
    stream.write_all(b"p")?;
    let start = now();
    for _ in 0..pings {
        stream.write_all(&ping)?;
        stream.read_exact(&mut ping)?;
    }
    let nanos = now().saturating_sub(start);
    Ok(Measured {
        nanos,
        ..Measured::default().of(pings, 0)
    })
}

/// Measures one of the limits on one network.
pub fn run(cell: &Cell, shape: Shape, selection: &Selection, scale: Scale) -> Result<()> {
    let names = plan::workloads_of(cell, selection);
    if let Err(error) = measure(cell, shape, &names, scale) {
        for name in names {
            gap(cell, name, &format!("not possible: {error:#}"));
        }
    }
    Ok(())
}

fn measure(cell: &Cell, shape: Shape, names: &[&str], scale: Scale) -> Result<()> {
    let encrypted = cell.system == "ktls";
    let size = scale.pick(128 << 20, 16 << 20);
    let pings = scale.pick(500, 100);
    let cable = Cable::lay(shape)?;
    let listener = TcpListener::bind((OWNER, PORT))?;
    thread::scope(|scope| {
        let owner = scope.spawn(|| serve(&listener, encrypted, size, pings));
        let result = cable.reader(|| {
            let mut stream = TcpStream::connect((OWNER, PORT))?;
            prepare(&stream, encrypted, false)?;
            let mut all = Vec::new();
            for name in names {
                eprintln!("  {name}");
                let mut runs = Vec::new();
                for _ in 0..=scale.pick(5, 3) {
                    runs.push(match *name {
                        "stream" => stream_once(&mut stream, size)?,
                        _ => ping_once(&mut stream, pings)?,
                    });
                }
                // The first one opened the congestion window.
                runs.remove(0);
                all.push((*name, runs));
            }
            Ok(all)
        });
        let served = owner.join().map_err(|_| anyhow!("the owner panicked"))?;
        for (name, runs) in result? {
            let unit = if name == "stream" {
                Unit::Megabytes
            } else {
                Unit::Micros
            };
            let samples = runs.iter().map(|run| run.figure(unit)).collect();
            figure(cell, name, unit.name(), samples);
        }
        served
    })
}
