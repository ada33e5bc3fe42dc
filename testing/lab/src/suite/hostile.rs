// SPDX-License-Identifier: MIT OR Apache-2.0

//! A trusted device that has been taken over: it may fail itself, and nobody else.

use std::fs;

use anyhow::{anyhow, ensure, Result};
use hmdfs_netlink::DownReason;
use hmdfs_proto::{Handle, Header, Kind, Name, Opcode, Operation, MAX_BODY, MAX_DATA};
use hmdfs_tls::{DeviceId, Identity};

use crate::fleet::{Fleet, Plan};
use crate::impostor::{begin_anew, compound, hello, hello_in, Impostor, Watch};
use crate::net::Network;
use crate::random::Random;
use crate::suite::support::{holds, same};
use crate::suite::{tests, Group};

/// A laptop, and a tablet of which only the key is left.
pub const GROUP: Group = Group {
    name: "hostile",
    fleet: Some(prepare),
    seconds: 4,
    tests: tests![
        Fleet: an_honest_client_is_served,
        a_message_in_single_bytes_is_understood,
        an_unknown_request_is_answered,
        a_stranger_is_refused,
        garbage_ends_the_link,
        a_wrong_magic_number_ends_the_link,
        lengths_above_the_limits_end_the_link,
        an_empty_compound_body_ends_the_link,
        a_truncated_message_ends_the_link,
        a_request_before_hello_ends_the_link,
        no_common_version_ends_the_link,
        names_that_are_paths_end_the_link,
        too_many_operations_end_the_link,
        forged_handles_are_stale,
        more_requests_than_allowed,
        a_number_is_executed_once,
        a_number_that_reads_ends_the_link,
        an_ended_life_does_not_come_back,
        silence_ends_the_link,
        mutated_requests_do_no_harm,
    ],
};

/// Builds the fleet.
pub fn prepare() -> Result<Fleet> {
    let mut fleet = Plan::new(&["laptop", "tablet"]).start()?;
    fs::write(fleet.device("laptop")?.export().join("file"), "content")?;
    let tablet = fleet.device_mut("tablet")?;
    tablet.stop()?;
    tablet.umount()?;
    Ok(fleet)
}

fn address() -> String {
    Network::address(1)
}

fn connect(fleet: &Fleet) -> Result<Impostor> {
    Impostor::connect(fleet.device("tablet")?, fleet.device("laptop")?, &address())
}

fn greeted(fleet: &Fleet) -> Result<Impostor> {
    Impostor::greeted(fleet.device("tablet")?, fleet.device("laptop")?, &address())
}

const ROOT: [Operation<'_>; 2] = [Operation::Root, Operation::GetAttributes];

/// The laptop works, for its own user and for an honest device.
fn is_well(fleet: &Fleet) -> Result<()> {
    let laptop = fleet.device("laptop")?;
    holds(&laptop.local().join("file"), b"content")?;
    let mut honest = greeted(fleet)?;
    same("the status", honest.compound(&ROOT)?, 0)?;
    honest.hang_up()
}

/// After `attack` the laptop ends the link for this reason, and is well.
fn ends_with(
    fleet: &Fleet,
    expected: DownReason,
    attack: impl FnOnce(&mut Impostor) -> Result<()>,
) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    ends_link(fleet, &mut impostor, expected, attack)
}

fn ends_link(
    fleet: &Fleet,
    impostor: &mut Impostor,
    expected: DownReason,
    attack: impl FnOnce(&mut Impostor) -> Result<()>,
) -> Result<()> {
    let mut watch = Watch::on(fleet.device("laptop")?)?;
    attack(impostor)?;
    impostor.wait_for_the_end()?;
    same("the reason", watch.down()?, expected)?;
    is_well(fleet)
}

fn an_honest_client_is_served(fleet: &mut Fleet) -> Result<()> {
    let mut honest = greeted(fleet)?;
    let ping = honest.request(Opcode::Ping, &[]);
    honest.send(&ping)?;
    let pong = honest
        .receive_no_ping()?
        .ok_or_else(|| anyhow!("the laptop hung up"))?;
    same("the answer's kind", pong.header.kind, Kind::Reply)?;
    same("the answer's subject", pong.header.opcode, Opcode::Ping)?;
    same("the status", honest.compound(&ROOT)?, 0)?;
    let name = Name::new(b"file").map_err(|error| anyhow!("{error:?}"))?;
    let read = Operation::Read {
        offset: 0,
        length: 100,
    };
    let steps = [
        Operation::Root,
        Operation::Walk(name),
        Operation::Open {
            read: true,
            write: false,
        },
        read,
    ];
    same("the status of a read", honest.compound(&steps)?, 0)?;
    let name = Name::new(b"nothing").map_err(|error| anyhow!("{error:?}"))?;
    let steps = [Operation::Root, Operation::Walk(name)];
    same(
        "that of a missing name",
        honest.compound(&steps)?,
        libc::ENOENT as u32,
    )?;
    honest.hang_up()
}

fn a_message_in_single_bytes_is_understood(fleet: &mut Fleet) -> Result<()> {
    let mut honest = greeted(fleet)?;
    let message = honest.request(Opcode::Compound, &compound(&ROOT)?);
    for byte in message {
        honest.send(&[byte])?;
    }
    let reply = honest
        .receive_no_ping()?
        .ok_or_else(|| anyhow!("the laptop hung up"))?;
    same("the answer's kind", reply.header.kind, Kind::Reply)?;
    honest.hang_up()
}

fn an_unknown_request_is_answered(fleet: &mut Fleet) -> Result<()> {
    let mut newer = greeted(fleet)?;
    let message = newer.request(Opcode::Other(200), b"from the future");
    newer.send(&message)?;
    let reply = newer
        .receive_no_ping()?
        .ok_or_else(|| anyhow!("the laptop hung up"))?;
    let errno = reply.header.status.errno();
    same("the status", errno, libc::EOPNOTSUPP as u32)?;
    newer.send(&Header::new(Kind::Notice, Opcode::Other(201), 0).encode())?;
    same("what comes after it", newer.compound(&ROOT)?, 0)?;
    newer.hang_up()
}

fn a_stranger_is_refused(fleet: &mut Fleet) -> Result<()> {
    let victim: DeviceId = fleet
        .device("laptop")?
        .id()?
        .parse()
        .map_err(|error| anyhow!("{error}"))?;
    let stranger = Identity::generate()?;
    let tablet = fleet.device("tablet")?;
    let connection = Impostor::connect_as(tablet, &stranger, victim, &address());
    ensure!(connection.is_err(), "an unknown key was accepted");
    is_well(fleet)
}

fn garbage_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    let garbage = Random::new(70).bytes(1000);
    ends_with(fleet, DownReason::Protocol, |impostor| {
        impostor.send(&garbage)
    })
}

fn a_wrong_magic_number_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    ends_with(fleet, DownReason::Protocol, |impostor| {
        let mut message = impostor.request(Opcode::Ping, &[]);
        message[0] ^= 1;
        impostor.send(&message)
    })
}

fn lengths_above_the_limits_end_the_link(fleet: &mut Fleet) -> Result<()> {
    let lengths = [
        (MAX_BODY + 1, 0),
        (u32::MAX, 0),
        (0, MAX_DATA + 1),
        (0, u32::MAX),
        (u32::MAX, u32::MAX),
    ];
    for (body, data) in lengths {
        ends_with(fleet, DownReason::Protocol, |impostor| {
            let mut header = Header::new(Kind::Request, Opcode::Compound, 1);
            header.body = body;
            header.data = data;
            impostor.send(&header.encode())
        })?;
    }
    Ok(())
}

fn an_empty_compound_body_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    ends_with(fleet, DownReason::Protocol, |impostor| {
        let message = impostor.request(Opcode::Compound, &[]);
        impostor.send(&message)
    })
}

/// Announced, begun, and never finished.
fn a_truncated_message_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    for length in [1, Header::SIZE - 1, Header::SIZE, Header::SIZE + 1] {
        let mut impostor = greeted(fleet)?;
        let mut watch = Watch::on(fleet.device("laptop")?)?;
        let message = impostor.request(Opcode::Compound, &compound(&ROOT)?);
        impostor.send(&message[..length])?;
        impostor.hang_up()?;
        let reason = watch.down()?;
        ensure!(
            !matches!(reason, DownReason::None | DownReason::PeerBye),
            "the link ended for {reason:?}"
        );
        is_well(fleet)?;
    }
    Ok(())
}

fn a_request_before_hello_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = connect(fleet)?;
    ends_link(fleet, &mut impostor, DownReason::Protocol, |impostor| {
        let message = impostor.request(Opcode::Compound, &compound(&ROOT)?);
        impostor.send(&message)
    })
}

fn no_common_version_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = connect(fleet)?;
    ends_link(fleet, &mut impostor, DownReason::Version, |impostor| {
        impostor.send(&hello(1000, 1001)?)
    })
}

/// A compound whose only walk has a name that this code would not encode.
fn walk(name: &[u8]) -> Vec<u8> {
    let mut body = vec![2, 0, 1, 0, 0];
    body.push(3);
    body.extend((name.len() as u16 + 1).to_le_bytes());
    body.push(name.len() as u8);
    body.extend(name);
    body
}

fn names_that_are_paths_end_the_link(fleet: &mut Fleet) -> Result<()> {
    let names: [&[u8]; 6] = [b"..", b".", b"", b"a/b", b"../file", b"nul\0"];
    let mut honest = greeted(fleet)?;
    let message = honest.request(Opcode::Compound, &walk(b"file"));
    honest.send(&message)?;
    ensure!(
        honest.receive_no_ping()?.is_some(),
        "the hand-made message is wrong even with a good name"
    );
    honest.hang_up()?;
    for name in names {
        ends_with(fleet, DownReason::Protocol, |impostor| {
            let message = impostor.request(Opcode::Compound, &walk(name));
            impostor.send(&message)
        })?;
    }
    Ok(())
}

fn too_many_operations_end_the_link(fleet: &mut Fleet) -> Result<()> {
    for count in [hmdfs_proto::MAX_OPERATIONS + 1, u16::MAX] {
        let mut body = count.to_le_bytes().to_vec();
        for _ in 0..count {
            body.extend([1, 0, 0]);
        }
        ends_with(fleet, DownReason::Protocol, |impostor| {
            let message = impostor.request(Opcode::Compound, &body);
            impostor.send(&message)
        })?;
    }
    Ok(())
}

fn forged_handles_are_stale(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let mut random = Random::new(71);
    for length in 1..=Handle::MAX {
        let handle = Handle::new(&random.bytes(length)).map_err(|error| anyhow!("{error:?}"))?;
        let steps = [Operation::File(handle), Operation::GetAttributes];
        let status = impostor.compound(&steps)?;
        same("the status", status, libc::ESTALE as u32)?;
    }
    impostor.hang_up()
}

/// Far more than the laptop allows at once, without reading one answer.
fn more_requests_than_allowed(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let body = compound(&ROOT)?;
    for _ in 0..5_000 {
        let message = impostor.request(Opcode::Compound, &body);
        // The laptop may hang up, or stop reading: both are its right.
        if impostor.send(&message).is_err() {
            break;
        }
    }
    impostor.hang_up()?;
    is_well(fleet)
}

fn once(slot: u16, sequence: u64) -> Operation<'static> {
    Operation::Once { slot, sequence }
}

/// However often it arrives, on whatever link; until its sender begins anew.
fn a_number_is_executed_once(fleet: &mut Fleet) -> Result<()> {
    let file = fleet.device("laptop")?.export().join("numbered");
    let name = Name::new(b"numbered").map_err(|error| anyhow!("{error:?}"))?;
    let numbered = |slot, sequence| {
        [
            once(slot, sequence),
            Operation::Root,
            Operation::Walk(name),
            Operation::GetAttributes,
        ]
    };
    let stale = [once(0, 9)];
    let mut honest = greeted(fleet)?;
    fs::write(&file, "1")?;
    let first = honest.reply(&numbered(0, 1))?.body;
    fs::write(&file, "of another size")?;
    same(
        "the same",
        honest.reply(&numbered(0, 1))?.body,
        first.clone(),
    )?;
    honest.hang_up()?;
    let mut again = greeted(fleet)?;
    let same_again = again.reply(&numbered(0, 1))?.body;
    same("the same on another link", same_again, first.clone())?;
    let status = again.compound(&[once(0, 3), Operation::Root])?;
    same("a number too many", status, libc::ESTALE as u32)?;
    let status = again.compound(&stale)?;
    same("a number from nowhere", status, libc::ESTALE as u32)?;
    let status = again.compound(&[once(1000, 1), Operation::Root])?;
    same("a slot too many", status, libc::ESTALE as u32)?;
    let next = again.reply(&numbered(0, 2))?.body;
    ensure!(next != first, "the next number was not executed");
    let status = again.compound(&numbered(0, 1))?;
    same("the number before", status, libc::ESTALE as u32)?;
    again.hang_up()?;
    begin_anew();
    let mut reborn = greeted(fleet)?;
    let reply = reborn.reply(&numbered(0, 1))?.body;
    same("the first number of another life", reply, next)?;
    reborn.hang_up()
}

fn greeted_in(fleet: &Fleet, epoch: u64) -> Result<Impostor> {
    let hello = hello_in(epoch, hmdfs_proto::VERSION_MIN, hmdfs_proto::VERSION_MAX)?;
    let (tablet, laptop) = (fleet.device("tablet")?, fleet.device("laptop")?);
    Impostor::greeted_with(&hello, tablet, laptop, &address())
}

/// What is read could not be kept.
fn a_number_that_reads_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    ends_with(fleet, DownReason::Protocol, |impostor| {
        let read = Operation::Read {
            offset: 0,
            length: 1,
        };
        let body = compound(&[once(1, 1), Operation::Root, read])?;
        let message = impostor.request(Opcode::Compound, &body);
        impostor.send(&message)
    })
}

/// With a new epoch all links of the old one end, and there will be no other ones.
fn an_ended_life_does_not_come_back(fleet: &mut Fleet) -> Result<()> {
    let mut old = greeted(fleet)?;
    same("the status", old.compound(&ROOT)?, 0)?;
    let ended = begin_anew();
    let mut new = greeted(fleet)?;
    same("the status", new.compound(&ROOT)?, 0)?;
    old.wait_for_the_end()?;
    let mut old = greeted_in(fleet, ended)?;
    old.wait_for_the_end()?;
    same("the status", new.compound(&ROOT)?, 0)?;
    new.hang_up()?;
    is_well(fleet)
}

fn silence_ends_the_link(fleet: &mut Fleet) -> Result<()> {
    ends_with(fleet, DownReason::Timeout, |_| Ok(()))
}

/// Good messages with some bytes changed: whatever they mean, they do no harm.
fn mutated_requests_do_no_harm(fleet: &mut Fleet) -> Result<()> {
    let mut random = Random::new(72);
    for _ in 0..20 {
        let mut impostor = greeted(fleet)?;
        for _ in 0..50 {
            let mut message = impostor.request(Opcode::Compound, &compound(&ROOT)?);
            for _ in 0..=random.below(3) {
                let place = random.below(message.len() as u64) as usize;
                message[place] = random.next() as u8;
            }
            if impostor.send(&message).is_err() {
                break;
            }
        }
        impostor.hang_up()?;
    }
    is_well(fleet)
}
