// SPDX-License-Identifier: MIT OR Apache-2.0

//! The serving side of an impostor: one directory with one file, and one lie
//! about them.

use anyhow::{anyhow, Result};
use hmdfs_proto::directory::Entry;
use hmdfs_proto::{
    Attributes, FileSystem, Handle, Header, Kind, Lease, Name, Opcode, Operation, Outcome,
    ReplyWriter, RequestReader, Status,
};

use crate::impostor::{Impostor, Message};

/// What is wrong with the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing is.
    Nothing,
    /// The body is random.
    Garbage,
    /// It answers another request.
    OtherRequest,
    /// Data follow that nobody asked for.
    UnaskedData,
    /// More data than were asked for.
    MoreData,
    /// No data, and the file goes on.
    NoData,
    /// Half of the body is missing.
    HalfABody,
    /// A listed name leads out of the directory.
    NameIsPath,
    /// The file is as large as numbers get.
    Huge,
    /// The root is a file.
    RootIsFile,
    /// The file is a directory, the root itself.
    Loop,
    /// There is no answer.
    Silence,
    /// The file is of [`LARGE`] bytes, all of them 7.
    Large,
}

/// As large as a file is that does not come along when it is opened.
pub const LARGE: u64 = 4 << 20;

/// What the file holds.
pub const CONTENT: &[u8] = b"what the impostor's file holds";

/// Listed honestly; replaced byte for byte by [`Lie::NameIsPath`].
const NAME: &[u8] = b"xxxxfile";
const PATH: &[u8] = b"../.file";

/// The name of the file.
pub fn name() -> &'static str {
    "xxxxfile"
}

fn wrong(error: hmdfs_proto::Error) -> anyhow::Error {
    anyhow!("the victim's request: {}", error.as_str())
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Root,
    File,
}

impl Node {
    fn handle(self, lie: Lie) -> Result<Handle> {
        let bytes: &[u8] = match self {
            Node::File if lie != Lie::Loop => b"handle of the file",
            _ => b"handle of the root",
        };
        Handle::new(bytes).map_err(wrong)
    }

    fn attributes(self, lie: Lie) -> Attributes {
        let directory = match self {
            Node::Root => lie != Lie::RootIsFile,
            Node::File => lie == Lie::Loop,
        };
        Attributes {
            mode: if directory { 0o040_755 } else { 0o100_644 },
            nlink: 1,
            ino: if self == Node::Root || directory {
                1
            } else {
                2
            },
            size: match lie {
                Lie::Huge => i64::MAX as u64,
                Lie::Large => LARGE,
                _ => CONTENT.len() as u64,
            },
            blksize: 4096,
            change: 1,
            ..Attributes::default()
        }
    }
}

/// Answers the victim's requests with `lie` until the connection ends.
pub fn serve(impostor: &mut Impostor, lie: Lie) -> Result<()> {
    serve_some(impostor, lie, || lie != Lie::Silence)
}

/// As [`serve`], as long as it `is_answered`, which is asked for each request.
pub fn serve_some(
    impostor: &mut Impostor,
    lie: Lie,
    mut is_answered: impl FnMut() -> bool,
) -> Result<()> {
    while let Some(message) = impostor.receive_no_ping()? {
        if message.header.kind != Kind::Request || !is_answered() {
            continue;
        }
        let reply = answer(&message, lie)?;
        if impostor.send(&reply).is_err() {
            break;
        }
    }
    Ok(())
}

fn answer(message: &Message, lie: Lie) -> Result<Vec<u8>> {
    let mut header = Header::new(Kind::Reply, message.header.opcode, message.header.id);
    let mut body = vec![0; 1 << 16];
    let mut data = Vec::new();
    if message.header.opcode == Opcode::Compound {
        let mut writer = ReplyWriter::new(&mut body).map_err(wrong)?;
        run(&message.body, &mut writer, &mut data, lie)?;
        let length = writer.len();
        body.truncate(length);
    } else {
        header.status = Status::EOPNOTSUPP;
        body.clear();
    }
    match lie {
        Lie::Garbage => body.iter_mut().for_each(|byte| *byte ^= 0x5a),
        Lie::OtherRequest => header.id = header.id.wrapping_add(1 << 40),
        Lie::UnaskedData => data = vec![7; 100_000],
        Lie::HalfABody => body.truncate(body.len() / 2),
        Lie::NameIsPath => replace(&mut body, NAME, PATH),
        _ => {}
    }
    header.body = body.len() as u32;
    header.data = data.len() as u32;
    let mut reply = header.encode().to_vec();
    reply.extend(body);
    reply.extend(data);
    Ok(reply)
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let found = bytes.windows(from.len()).position(|window| window == from);
    if let Some(at) = found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// Runs a compound as an honest device would, but for `lie`.
fn run(body: &[u8], writer: &mut ReplyWriter<'_>, data: &mut Vec<u8>, lie: Lie) -> Result<()> {
    let mut current = Node::Root;
    for operation in RequestReader::new(body).map_err(wrong)? {
        let operation = operation.map_err(wrong)?;
        let failure = match &operation {
            Operation::Walk(name) if name.as_bytes() != NAME => Some(Status::ENOENT),
            Operation::ReadLink => Some(Status::EINVAL),
            Operation::Other(_) => Some(Status::EOPNOTSUPP),
            _ => None,
        };
        if let Some(status) = failure {
            return writer.fail(&operation, status).map_err(wrong);
        }
        let outcome = match &operation {
            Operation::Root => {
                current = Node::Root;
                Outcome::Done
            }
            Operation::File(handle) => {
                let is_file = *handle == Node::File.handle(lie)? && lie != Lie::Loop;
                current = if is_file { Node::File } else { Node::Root };
                Outcome::Done
            }
            Operation::Walk(_) => {
                current = Node::File;
                Outcome::Done
            }
            Operation::GetHandle => Outcome::Handle(current.handle(lie)?),
            Operation::GetAttributes => Outcome::Attributes(current.attributes(lie)),
            Operation::Read { offset, length } => read(*offset, *length, data, lie),
            Operation::ReadWhole { limit } => match lie {
                Lie::Large => Outcome::Read {
                    length: 0,
                    end_of_file: false,
                },
                _ => read(0, *limit, data, lie),
            },
            Operation::Lease => Outcome::Lease(Lease::None),
            Operation::StatFileSystem => Outcome::FileSystem(FileSystem::default()),
            Operation::ReadDirectory { cookie, .. } => {
                let entry = Entry {
                    next: 1000,
                    ino: 2,
                    file_type: 8,
                    name: Name::new(NAME).map_err(wrong)?,
                    node: Some((Node::File.handle(lie)?, Node::File.attributes(lie))),
                    lease: Lease::None,
                };
                let listed = writer.directory(&operation, |encoder| {
                    if *cookie == 0 {
                        entry.encode(encoder)?;
                    }
                    Ok(true)
                });
                listed.map_err(wrong)?;
                continue;
            }
            _ => Outcome::Done,
        };
        writer.push(&operation, &outcome).map_err(wrong)?;
    }
    Ok(())
}

fn read(offset: u64, length: u32, data: &mut Vec<u8>, lie: Lie) -> Outcome<'static> {
    if lie == Lie::Large {
        let length = LARGE.saturating_sub(offset).min(length.into());
        *data = vec![7; length as usize];
        return Outcome::Read {
            length: length as u32,
            end_of_file: offset + length == LARGE,
        };
    }
    let start = usize::try_from(offset).map_or(CONTENT.len(), |at| at.min(CONTENT.len()));
    let end = CONTENT.len().min(start.saturating_add(length as usize));
    match lie {
        Lie::NoData => {
            return Outcome::Read {
                length: 0,
                end_of_file: false,
            }
        }
        Lie::MoreData => *data = vec![7; length as usize + 5000],
        _ => data.extend(&CONTENT[start..end]),
    }
    Outcome::Read {
        length: data.len() as u32,
        end_of_file: true,
    }
}
