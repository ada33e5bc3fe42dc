// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two machines with a cable between them, one of which dies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};

use crate::demo::{compare, show_tree, Narrator, LEAVE_LIMIT};
use crate::device::{Device, Peer, FOLDER, PORT};
use crate::disk;
use crate::fleet;
use crate::fsmount;
use crate::module;
use crate::process;
use crate::storage::Storage;
use crate::tree::{self, Digests};
use crate::wait::{self, PATIENCE};

/// Where the two tell each other their ids, which people would do by reading
/// them aloud, and what they found.
const TALK: u16 = 20713;

/// The runner kills the other machine when it reads this line.
const KILL: &str = "@kill-peer";

struct Role {
    name: &'static str,
    number: u32,
    address: &'static str,
}

const FIRST: Role = Role {
    name: "laptop",
    number: 1,
    address: "10.78.0.1",
};

const SECOND: Role = Role {
    name: "tablet",
    number: 2,
    address: "10.78.0.2",
};

/// Plays `role`, `first` (who survives) or `second` (who is killed).
pub fn two_machines(role: &str) -> Result<()> {
    match role {
        "first" => first(),
        "second" => second(),
        other => bail!("there is no role {other}; it is first or second"),
    }
}

/// A conversation in lines.
struct Talk {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Talk {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(240)))?;
        Ok(Self {
            reader: BufReader::new(stream.try_clone()?),
            writer: stream,
        })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.writer, "{line}").context("cannot tell the other machine")
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        let length = self.reader.read_line(&mut line);
        ensure!(
            length.context("nothing from the other machine")? > 0,
            "the other machine hung up"
        );
        Ok(line.trim().to_owned())
    }
}

fn network(role: &Role) -> Result<()> {
    let batch = format!(
        "addr replace {}/24 dev eth0\nlink set eth0 up\n",
        role.address
    );
    process::run_with_input("ip", &["-batch", "-"], &batch)?;
    Ok(())
}

/// Starts this machine's device, which trusts the one on the other side of `talk`.
fn device(own: &Role, other: &Role, talk: &mut Talk) -> Result<Device> {
    let mut device = Device::create(own.name, None, disk::storage(own.name)?)?;
    disk::tidy(&device.export())?;
    device.configure(&[])?;
    talk.tell(&device.id()?)?;
    device.configure(&[Peer {
        id: talk.hear()?,
        number: other.number,
        name: other.name.to_owned(),
        address: format!("{}:{PORT}", other.address),
        access: "read",
        level: 4,
    }])?;
    device.mount()?;
    device.start()?;
    let control = device.control();
    wait::until("the other machine to be online", PATIENCE, || {
        control.is_online(other.name)
    })
    .with_context(|| format!("hmdfsd:\n{}", device.log()))?;
    Ok(device)
}

/// The other machine's own disk, to compare with: each machine has both, and
/// exports just its own.
fn reference(name: &str) -> Result<std::path::PathBuf> {
    let folder = Path::new(FOLDER).join("reference");
    std::fs::create_dir_all(&folder)?;
    let Storage::Disk(disk, fstype) = disk::storage(name)? else {
        bail!("{name} has no disk");
    };
    let source = disk
        .to_str()
        .ok_or_else(|| anyhow!("{} is not UTF-8", disk.display()))?;
    fsmount::mount_source(fstype, source, &folder)
        .with_context(|| format!("cannot mount the copy of the disk of the {name}"))?;
    disk::tidy(&folder)?;
    Ok(folder)
}

fn first() -> Result<()> {
    let narrator = Narrator::begin();
    narrator.chapter("Two machines, each with its own kernel, a cable between them");
    fleet::clean()?;
    module::ensure_loaded()?;
    network(&FIRST)?;
    let listener = TcpListener::bind((FIRST.address, TALK))?;
    let (stream, _) = listener.accept()?;
    let mut talk = Talk::new(stream)?;
    let laptop = device(&FIRST, &SECOND, &mut talk)?;
    narrator.say(&laptop.control().text("devices")?);
    narrator.say(&laptop.control().text("links")?);

    narrator.chapter("Every file through the other machine: SHA-256, size, mode, time");
    show_tree(&narrator, &laptop)?;
    let home = reference(SECOND.name)?;
    compare(&narrator, &laptop, SECOND.name, &home, &Digests::default())?;
    match talk.hear()?.split_once(' ') {
        Some(("equal", text)) => narrator.say(text),
        Some((_, text)) => bail!("the tablet found: {text}"),
        None => bail!("the tablet did not say what it found"),
    }

    narrator.chapter("The tablet is killed without warning");
    let name = tree::names(&laptop.view(SECOND.name))?
        .into_iter()
        .next()
        .ok_or_else(|| anyhow!("the tablet shows nothing"))?;
    let killed = Instant::now();
    println!("{KILL}");
    let path = laptop.view(SECOND.name).join(&name);
    wait::until("the tablet's files to leave the views", PATIENCE, || {
        Ok(std::fs::symlink_metadata(&path).is_err())
    })?;
    let left = killed.elapsed();
    narrator.say(&format!(
        "its files left the views after {:.1} s",
        left.as_secs_f64()
    ));
    ensure!(
        left <= LEAVE_LIMIT,
        "the tablet's files stayed in the views for more than {} s",
        LEAVE_LIMIT.as_secs()
    );
    tree::must_be_equal(&laptop.export(), &laptop.local())?;
    narrator.say("the laptop's own files are all there");
    narrator.say(&laptop.control().text("devices")?);
    laptop.close()?;
    fleet::clean()?;
    module::unload()?;
    narrator.chapter("All files were the same on both machines.");
    Ok(())
}

fn second() -> Result<()> {
    fleet::clean()?;
    module::ensure_loaded()?;
    network(&SECOND)?;
    let mut stream = None;
    wait::until("the first machine", 2 * PATIENCE, || {
        stream = Some(TcpStream::connect((FIRST.address, TALK))?);
        Ok(true)
    })?;
    let mut talk = Talk::new(stream.ok_or_else(|| anyhow!("no connection"))?)?;
    let tablet = device(&SECOND, &FIRST, &mut talk)?;
    let home = reference(FIRST.name)?;
    let result = tree::compare(&home, &tablet.view(FIRST.name), 8, &Digests::default());
    let text = match &result {
        Ok(result) if result.differences.is_empty() && result.files > 0 => format!(
            "equal tablet  reads laptop  {:5} files, {:>9}, all equal",
            result.files,
            super::megabytes(result.bytes)
        ),
        Ok(result) => format!("different {}", result.differences.join("; ")),
        Err(error) => format!("different {error:#}"),
    };
    talk.tell(&text)?;
    // Until the end, which comes from outside.
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}
