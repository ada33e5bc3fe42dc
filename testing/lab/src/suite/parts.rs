// SPDX-License-Identifier: MIT OR Apache-2.0

//! Messages with much data, which may be sent in parts with others in between.

use std::fs;

use anyhow::{anyhow, ensure, Context, Result};
use hmdfs_netlink::DownReason;
use hmdfs_proto::{Header, Kind, Name, Opcode, Operation, MAX_DATA};

use crate::fleet::{Fleet, Plan};
use crate::impostor::{compound, Impostor, Message, Watch};
use crate::net::Network;
use crate::random::Random;
use crate::suite::support::{holds, same, same_bytes};
use crate::suite::{tests, Group};

/// A laptop, and a tablet that speaks for itself.
pub const GROUP: Group = Group {
    name: "parts",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: a_request_in_parts_is_put_together,
        a_large_reply_leaves_room_for_others,
        a_link_that_ends_between_parts_is_just_a_link_that_ends,
        parts_out_of_place_end_the_link,
        a_message_that_never_ends_is_not_waited_for,
    ],
};

fn prepare() -> Result<Fleet> {
    let mut fleet = Plan::new(&["laptop", "tablet"])
        .policy("laptop", "tablet", "write", 4)
        .start()?;
    let export = fleet.device("laptop")?.export();
    fs::write(export.join("file"), "content")?;
    fs::write(export.join("large"), large())?;
    let tablet = fleet.device_mut("tablet")?;
    tablet.stop()?;
    tablet.umount()?;
    Ok(fleet)
}

fn large() -> Vec<u8> {
    Random::new(71).bytes(MAX_DATA as usize)
}

fn greeted(fleet: &Fleet) -> Result<Impostor> {
    Impostor::greeted(
        fleet.device("tablet")?,
        fleet.device("laptop")?,
        &Network::address(1),
    )
}

const ROOT: [Operation<'_>; 2] = [Operation::Root, Operation::GetAttributes];

fn name(name: &'static str) -> Result<Name<'static>> {
    Name::new(name.as_bytes()).map_err(|error| anyhow!("{error:?}"))
}

fn next(honest: &mut Impostor) -> Result<Message> {
    honest
        .receive_no_ping()?
        .context("the laptop ended the link instead of answering")
}

/// A request that writes `data` to the beginning of `file`, in parts of these lengths; what is left
/// is one more.
fn write_in_parts(
    honest: &mut Impostor,
    file: &'static str,
    data: &[u8],
    parts: &[usize],
) -> Result<Vec<Vec<u8>>> {
    let operations = [
        Operation::Root,
        Operation::Walk(name(file)?),
        Operation::Write {
            offset: 0,
            length: data.len() as u32,
        },
    ];
    let mut message = honest.request(Opcode::Compound, &compound(&operations)?);
    let mut header = [0; Header::SIZE];
    header.copy_from_slice(&message[..Header::SIZE]);
    let mut header = Header::decode(&header).map_err(|error| anyhow!("{}", error.as_str()))?;
    let mut messages = Vec::new();
    let mut rest = data;
    for length in parts.iter().copied().chain([usize::MAX]) {
        let (part, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        header.data = part.len() as u32;
        header.more = rest.len() as u32;
        message.splice(..Header::SIZE, header.encode());
        message.extend(part);
        messages.push(std::mem::take(&mut message));
        header = Header::new(Kind::Notice, Opcode::Data, header.id);
        message = header.encode().to_vec();
    }
    Ok(messages)
}

fn a_request_in_parts_is_put_together(fleet: &mut Fleet) -> Result<()> {
    let file = fleet.device("laptop")?.export().join("written");
    fs::write(&file, "")?;
    let data = Random::new(72).bytes(300_000);
    let mut honest = greeted(fleet)?;
    let parts = write_in_parts(&mut honest, "written", &data, &[1, 65_536, 100, 4095])?;
    for part in parts {
        honest.send(&part)?;
        let other = honest.request(Opcode::Compound, &compound(&ROOT)?);
        honest.send(&other)?;
    }
    for _ in 0..6 {
        let reply = next(&mut honest)?;
        same("the answer's kind", reply.header.kind, Kind::Reply)?;
        same("the status", reply.header.status.errno(), 0)?;
    }
    honest.hang_up()?;
    same_bytes("what was written", &fs::read(&file)?, &data)
}

fn read_large(honest: &mut Impostor) -> Result<u64> {
    let read = [
        Operation::Root,
        Operation::Walk(name("large")?),
        Operation::Read {
            offset: 0,
            length: MAX_DATA,
        },
    ];
    let message = honest.request(Opcode::Compound, &compound(&read)?);
    honest.send(&message)?;
    let mut header = [0; Header::SIZE];
    header.copy_from_slice(&message[..Header::SIZE]);
    let header = Header::decode(&header).map_err(|error| anyhow!("{}", error.as_str()))?;
    Ok(header.id)
}

fn a_large_reply_leaves_room_for_others(fleet: &mut Fleet) -> Result<()> {
    let mut honest = greeted(fleet)?;
    let wanted = read_large(&mut honest)?;
    let other = honest.request(Opcode::Compound, &compound(&ROOT)?);
    honest.send(&other)?;
    let (mut data, mut left, mut others) = (Vec::new(), MAX_DATA, 0);
    while left != 0 || others == 0 {
        let message = next(&mut honest)?;
        if message.header.id != wanted {
            same("the other's kind", message.header.kind, Kind::Reply)?;
            others += 1;
            continue;
        }
        same("what is left", message.header.all_data(), left)?;
        ensure!(message.header.data != 0, "a part with nothing in it");
        left = message.header.more;
        data.extend(message.data);
    }
    honest.hang_up()?;
    same_bytes("what was read", &data, &large())
}

fn a_link_that_ends_between_parts_is_just_a_link_that_ends(fleet: &mut Fleet) -> Result<()> {
    let file = fleet.device("laptop")?.export().join("untouched");
    fs::write(&file, "before")?;
    let mut honest = greeted(fleet)?;
    let data = Random::new(73).bytes(100_000);
    for part in &write_in_parts(&mut honest, "untouched", &data, &[50_000])?[..1] {
        honest.send(part)?;
    }
    honest.hang_up()?;
    let mut again = greeted(fleet)?;
    same("the status", again.compound(&ROOT)?, 0)?;
    again.hang_up()?;
    holds(&file, b"before")
}

/// What to send, one after the other.
type Attack<'a> = &'a dyn Fn(&mut Impostor) -> Result<Vec<Vec<u8>>>;

fn parts_out_of_place_end_the_link(fleet: &mut Fleet) -> Result<()> {
    let notice = |id, data, more| {
        let mut header = Header::new(Kind::Notice, Opcode::Data, id);
        (header.data, header.more) = (data, more);
        let mut message = header.encode().to_vec();
        message.extend(vec![7; data as usize]);
        message
    };
    let begin = |impostor: &mut Impostor| -> Result<Vec<u8>> {
        Ok(write_in_parts(impostor, "file", &[1; 1000], &[10])?.remove(0))
    };
    let attacks: [(&str, Attack<'_>); 7] = [
        ("data of no message", &|_| Ok(vec![notice(1, 10, 0)])),
        ("data of another message", &|impostor| {
            Ok(vec![begin(impostor)?, notice(77, 990, 0)])
        }),
        ("more data than announced", &|impostor| {
            Ok(vec![begin(impostor)?, notice(1, 991, 0)])
        }),
        ("less data than announced", &|impostor| {
            Ok(vec![begin(impostor)?, notice(1, 900, 0)])
        }),
        ("no data", &|impostor| {
            Ok(vec![begin(impostor)?, notice(1, 0, 990)])
        }),
        ("two messages in parts", &|impostor| {
            Ok(vec![begin(impostor)?, begin(impostor)?])
        }),
        ("a PING in parts", &|_| {
            let mut header = Header::new(Kind::Request, Opcode::Ping, 1 << 63);
            (header.data, header.more) = (1, 1);
            Ok(vec![header.encode().to_vec(), vec![0]])
        }),
    ];
    for (what, attack) in attacks {
        let mut impostor = greeted(fleet)?;
        let mut watch = Watch::on(fleet.device("laptop")?)?;
        for message in attack(&mut impostor)? {
            // The laptop may have had enough already.
            let _ = impostor.send(&message);
        }
        impostor.wait_for_the_end()?;
        same(what, watch.down()?, DownReason::Protocol)?;
        let mut honest = greeted(fleet)?;
        same(what, honest.compound(&ROOT)?, 0)?;
        honest.hang_up()?;
    }
    holds(&fleet.device("laptop")?.export().join("file"), b"content")
}

/// The sender goes on with signs of life, and never with the message.
fn a_message_that_never_ends_is_not_waited_for(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let mut watch = Watch::on(fleet.device("laptop")?)?;
    let parts = write_in_parts(&mut impostor, "file", &[1; 1000], &[10])?;
    impostor.send(&parts[0])?;
    // Answers PINGs.
    while impostor.receive_no_ping()?.is_some() {}
    same("the reason", watch.down()?, DownReason::Timeout)
}
