// SPDX-License-Identifier: MIT OR Apache-2.0

//! A program that does one thing with a file when it is told to, and is killed while it does.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::lock::{self, Class, Kind};
use crate::mapping::Mapping;

/// What is done.
type Deed = Box<dyn FnOnce() -> io::Result<()>>;

/// Makes everything ready for `what` to be done with the file at `path`, says so, and does it when
/// there is a line on the standard input.
pub fn run(what: &str, path: &str) -> Result<()> {
    let deed = prepare(what, Path::new(path)).context("nothing is ready")?;
    println!("ready");
    io::stdout().flush()?;
    io::stdin().lock().read_line(&mut String::new())?;
    deed()?;
    println!("done");
    Ok(())
}

fn prepare(what: &str, path: &Path) -> Result<Deed> {
    let open = |flags| {
        File::options()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(path)
    };
    let other = path.with_file_name("other");
    Ok(match what {
        "look_up" => Box::new(move || fs::metadata(&other).map(drop)),
        "open" => {
            let path = path.to_owned();
            Box::new(move || File::open(path).map(drop))
        }
        "list" => {
            let folder = other.parent().context("no folder")?.to_owned();
            Box::new(move || fs::read_dir(folder).map(|names| names.for_each(drop)))
        }
        "make" => Box::new(move || File::create_new(other).map(drop)),
        "remove" => {
            let path = path.to_owned();
            Box::new(move || fs::remove_file(path))
        }
        "read" => {
            let file = open(0)?;
            Box::new(move || file.read_at(&mut [0; 100], 1 << 20).map(drop))
        }
        "direct_read" => {
            let file = open(libc::O_DIRECT)?;
            let mut bytes = vec![0; 1 << 17];
            Box::new(move || {
                let at = bytes.as_ptr().align_offset(4096);
                file.read_at(&mut bytes[at..at + 65536], 1 << 20).map(drop)
            })
        }
        "fault" | "random_fault" => {
            let file = open(0)?;
            let mapping = Mapping::of(&file, 1 << 20, false)?;
            if what == "random_fault" {
                mapping.advise(libc::MADV_RANDOM)?;
            }
            Box::new(move || {
                std::hint::black_box(mapping.read());
                Ok(())
            })
        }
        "direct_write" => {
            let file = open(libc::O_DIRECT)?;
            let bytes = vec![1; 1 << 17];
            Box::new(move || {
                let at = bytes.as_ptr().align_offset(4096);
                file.write_all_at(&bytes[at..at + 65536], 0)
            })
        }
        "fsync" | "close" | "die" | "die_with_much" | "die_locked" => {
            let file = open(0)?;
            if what == "die_locked" {
                lock::wait(&file, Class::Flock, Kind::Write, lock::WHOLE)?;
            }
            let length = if matches!(what, "die_with_much" | "die_locked") {
                8 << 20
            } else {
                100_000
            };
            file.write_all_at(&vec![1; length], 0)?;
            match what {
                "fsync" => Box::new(move || file.sync_all()),
                "close" => Box::new(move || {
                    drop(file);
                    Ok(())
                }),
                _ => Box::new(move || {
                    let _file = file;
                    loop {
                        std::thread::park();
                    }
                }),
            }
        }
        "msync" => {
            let file = open(0)?;
            let mapping = Mapping::of(&file, 4096, true)?;
            mapping.write(0, b"mapped")?;
            Box::new(move || mapping.sync().map_err(|_| io::ErrorKind::Other.into()))
        }
        "synchronous_write" => {
            let file = open(libc::O_SYNC)?;
            Box::new(move || file.write_all_at(b"data", 0))
        }
        "write_another_part" => {
            let file = File::options().write(true).open(path)?;
            file.write_all_at(b"one", 100)?;
            Box::new(move || file.write_all_at(b"other", 1000))
        }
        "truncate" => {
            let file = open(0)?;
            Box::new(move || file.set_len(1))
        }
        "attributes" => {
            let file = open(0)?;
            Box::new(move || {
                let (empty, flags) = (c"", libc::AT_EMPTY_PATH | libc::AT_STATX_FORCE_SYNC);
                // SAFETY: All zero is a value of it.
                let mut state: libc::statx = unsafe { std::mem::zeroed() };
                // SAFETY: The name is a C string, and there is room for the answer.
                let result = unsafe {
                    let fd = file.as_raw_fd();
                    libc::statx(fd, empty.as_ptr(), flags, libc::STATX_ALL, &mut state)
                };
                (result == 0)
                    .then_some(())
                    .ok_or_else(io::Error::last_os_error)
            })
        }
        "lock" | "flock" => {
            let class = if what == "lock" {
                Class::Posix
            } else {
                Class::Flock
            };
            let file = open(0)?;
            Box::new(move || lock::wait(&file, class, Kind::Write, lock::WHOLE))
        }
        _ => bail!("nobody knows how to {what}"),
    })
}
