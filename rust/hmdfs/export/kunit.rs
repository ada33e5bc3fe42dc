// SPDX-License-Identifier: GPL-2.0

//! Tests of the export over a file system in memory, in a file for each theme; here is what they
//! share.

use hmdfs_kapi::vfs::testing::Tree;
use hmdfs_model::security::Access;
use hmdfs_proto::{
    self as proto, Handle, Name, Operation, Outcome, ReplyReader, RequestWriter, Status,
};
use kernel::{prelude::*, sync::Arc};

use super::{Client, Export, Replay, Response};

mod access;
mod compound;
mod directory;
mod handles;
mod names;
mod read;

/// A device that asks.
struct Device {
    access: Access,
    level: Option<u8>,
}

impl Client for Device {
    fn access(&self) -> Access {
        self.access
    }

    fn level(&self) -> Option<u8> {
        self.level
    }

    fn replay(&self) -> Option<(&Replay, u64)> {
        None
    }
}

/// One that may read all but the most sensitive files.
const TRUSTED: Device = Device {
    access: Access::Read,
    level: Some(3),
};

/// One that may change what it may read.
const WRITER: Device = Device {
    access: Access::Write,
    level: Some(3),
};

const KEY: [u8; 16] = *b"0123456789abcdef";

const READ_ALL: Operation<'static> = Operation::Read {
    offset: 0,
    length: proto::MAX_DATA,
};

fn walk(name: &[u8]) -> Operation<'_> {
    // A name that is not one is found out by the test.
    Name::new(name).map_or(Operation::Other(0), Operation::Walk)
}

fn export(tree: &Tree) -> Result<Arc<Export>> {
    Ok(Export::new(tree.root(), KEY)?)
}

fn request(operations: &[Operation<'_>]) -> Result<KVVec<u8>> {
    let mut body = KVVec::from_elem(0, 4096, GFP_KERNEL)?;
    let mut writer = RequestWriter::new(&mut body).map_err(|_| EINVAL)?;
    for operation in operations {
        writer.push(operation).map_err(|_| EINVAL)?;
    }
    let length = writer.len();
    body.truncate(length);
    Ok(body)
}

fn call(export: &Export, device: &Device, operations: &[Operation<'_>]) -> Result<Response> {
    Export::compound(Ok(export), device, &request(operations)?, None)
        .map_err(|_| EINVAL)?
        .ok_or(EIO)
}

/// The status of the first operation that failed, or `Ok`.
fn status(response: &Response, operations: &[Operation<'_>]) -> Result<Status> {
    let mut reader = ReplyReader::new(&response.body).map_err(|_| EINVAL)?;
    for operation in operations {
        if let Err(status) = reader.next(operation).map_err(|_| EINVAL)? {
            return Ok(status);
        }
    }
    Ok(Status::Ok)
}

fn call_status(export: &Export, device: &Device, operations: &[Operation<'_>]) -> Result<Status> {
    status(&call(export, device, operations)?, operations)
}

/// The outcome of the last operation, when all succeeded.
fn last<'a>(response: &'a Response, operations: &[Operation<'_>]) -> Result<Outcome<'a>> {
    let mut reader = ReplyReader::new(&response.body).map_err(|_| EINVAL)?;
    let mut last = Err(EINVAL);
    for operation in operations {
        last = match reader.next(operation) {
            Ok(Ok(outcome)) => Ok(outcome),
            _ => return Err(EIO),
        };
    }
    last
}

fn handle(export: &Export, path: &[&[u8]]) -> Result<Handle> {
    let mut operations = KVec::new();
    operations.push(Operation::Root, GFP_KERNEL)?;
    for name in path {
        operations.push(walk(name), GFP_KERNEL)?;
    }
    operations.push(Operation::GetHandle, GFP_KERNEL)?;
    match last(&call(export, &TRUSTED, &operations)?, &operations)? {
        Outcome::Handle(handle) => Ok(handle),
        _ => Err(EINVAL),
    }
}

fn pattern(length: usize) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(length, GFP_KERNEL)?;
    for index in 0..length {
        bytes.push((index % 251) as u8, GFP_KERNEL)?;
    }
    Ok(bytes)
}

fn name(bytes: &[u8]) -> Result<Name<'_>> {
    Name::new(bytes).map_err(|_| EINVAL)
}
