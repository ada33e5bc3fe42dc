// SPDX-License-Identifier: MIT OR Apache-2.0

//! Two machines with a cable between them, one of which dies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};

use crate::demo::{compare, megabytes, show_tree, Narrator, LEAVE_LIMIT, READERS};
use crate::device::{Device, Peer, PORT};
use crate::disk;
use crate::fleet;
use crate::manifest::Manifest;
use crate::module;
use crate::process;
use crate::tree;
use crate::wait::{self, PATIENCE};

/// Where the two tell each other their ids, which people would do by reading
/// them aloud, and what they found.
const TALK: u16 = 20713;

/// The runner kills the other machine when it reads this line.
const KILL: &str = "@kill-peer";

/// What ends a list.
const END: &str = ".";

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

/// Tells the other machine what this one has at home.
fn tell_manifest(talk: &mut Talk, manifest: &Manifest) -> Result<()> {
    talk.tell(manifest.to_text().trim_end())?;
    talk.tell(END)
}

/// Hears what the other machine has at home.
fn hear_manifest(talk: &mut Talk) -> Result<Manifest> {
    let mut text = String::new();
    loop {
        let line = talk.hear()?;
        if line == END {
            return Manifest::parse(&text);
        }
        text.push_str(&line);
        text.push('\n');
    }
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
    let own = Manifest::of(&laptop.export(), READERS)?;
    tell_manifest(&mut talk, &own)?;
    let theirs = hear_manifest(&mut talk)?;
    show_tree(&narrator, &laptop, &own)?;
    compare(&narrator, &laptop, SECOND.name, &theirs)?;
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
    let local = own.compare(&laptop.local(), READERS)?;
    ensure!(
        local.differences.is_empty(),
        "the laptop's own files changed: {}",
        local.differences.join("; ")
    );
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
    // In turns: two who only talk would wait for each other.
    let own = Manifest::of(&tablet.export(), READERS)?;
    let theirs = hear_manifest(&mut talk)?;
    tell_manifest(&mut talk, &own)?;
    let result = theirs.compare(&tablet.view(FIRST.name), READERS);
    let text = match &result {
        Ok(result) if result.differences.is_empty() && result.files > 0 => format!(
            "equal tablet  reads laptop  {:5} files, {:>9}, all equal",
            result.files,
            megabytes(result.bytes)
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
