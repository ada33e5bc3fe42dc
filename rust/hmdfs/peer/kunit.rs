// SPDX-License-Identifier: GPL-2.0

//! Tests of calls, queues and devices that need no peer.

use super::{
    call::{
        Call,
        Sink, //
    },
    queue::{
        Place,
        Queue, //
    },
    DeviceId, DeviceName, DeviceSettings, Peers, SettingsError,
};
use crate::link::{
    Completion,
    Destination,
    Effect,
    Reply,
    Request, //
};
use hmdfs_kapi::errno::ENOTCONN;
use hmdfs_model::security::{
    Access,
    Level, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// How often a call ended, and the errno number of the last time.
struct Ends {
    count: Atomic<u32>,
    errno: Atomic<u32>,
}

impl Ends {
    fn new() -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                count: Atomic::new(0),
                errno: Atomic::new(0),
            },
            GFP_KERNEL,
        )?)
    }

    fn is(&self, count: u32, error: Error) -> bool {
        self.count.load(Relaxed) == count
            && self.errno.load(Relaxed) == error.to_errno().unsigned_abs()
    }
}

struct Probe(Arc<Ends>);

impl Completion for Probe {
    fn destination(&mut self, _length: u32) -> Result<Destination<'_>> {
        Err(EINVAL)
    }

    fn complete(&mut self, result: Result<Reply>) {
        self.0.count.add(1, Relaxed);
        let errno = result
            .err()
            .map_or(0, |error| error.to_errno().unsigned_abs());
        self.0.errno.store(errno, Relaxed);
    }
}

fn request(mark: u8) -> Result<Request> {
    Ok(Request {
        body: KVVec::from_elem(mark, 1, GFP_KERNEL)?,
        data: None,
        data_limit: 0,
        effect: Effect::None,
        slow: false,
    })
}

fn probe(ends: &Arc<Ends>) -> Result<KBox<Probe>> {
    Ok(KBox::new(Probe(ends.clone()), GFP_KERNEL)?)
}

fn call(ends: &Arc<Ends>, mark: u8) -> Result<Call> {
    Call::new(request(mark)?, Sink::Completion(probe(ends)?)).ok_or(ENOMEM)
}

fn place(ends: &Arc<Ends>, mark: u8) -> Result<KBox<Place>> {
    Place::new(call(ends, mark)?).map_err(|_| ENOMEM)
}

/// The mark of the first call.
fn first(queue: &mut Queue) -> Option<u8> {
    let call = queue.pop()?.take()?;
    call.message().body.first().copied()
}

fn settings(id: u8, number: u32, name: &[u8]) -> Result<DeviceSettings> {
    Ok(DeviceSettings {
        id: DeviceId::new(&[id; DeviceId::LENGTH]).ok_or(EINVAL)?,
        number: Some(number),
        name: Some(DeviceName::new(name).ok_or(EINVAL)?),
        access: None,
        level: None,
    })
}

#[kernel::prelude::kunit_tests(hmdfs_peer)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_exactly_once() -> Result {
        let ends = Ends::new()?;
        call(&ends, 1)?.complete(Err(ETIMEDOUT));
        assert!(ends.is(1, ETIMEDOUT));
        drop(call(&ends, 1)?);
        assert!(ends.is(2, ENOTCONN.error()));
        Ok(())
    }

    #[test]
    fn the_queue_keeps_the_order() -> Result {
        let ends = Ends::new()?;
        let mut queue = Queue::default();
        let mut expected = 1;
        for mark in 1..=200u8 {
            queue.push(place(&ends, mark)?);
            if mark % 3 == 0 {
                let place = queue.pop().ok_or(EINVAL)?;
                queue.push_front(place);
                assert_eq!(first(&mut queue), Some(expected));
                expected += 1;
            }
        }
        let odd = |call: &Call| {
            call.message()
                .body
                .first()
                .is_some_and(|mark| mark % 2 == 1)
        };
        let mut extracted = queue.extract(odd);
        assert_eq!(first(&mut extracted), Some(expected));
        assert_eq!(first(&mut extracted), Some(expected + 2));
        assert_eq!(first(&mut queue), Some(expected + 1));
        assert_eq!(first(&mut queue), Some(expected + 3));
        Ok(())
    }

    #[test]
    fn dropping_a_long_queue_ends_all_calls() -> Result {
        let ends = Ends::new()?;
        let mut queue = Queue::default();
        for _ in 0..2_000 {
            queue.push(place(&ends, 1)?);
        }
        drop(queue);
        assert!(ends.is(2_000, ENOTCONN.error()));
        Ok(())
    }

    #[test]
    fn a_peer_without_links_is_offline() -> Result {
        let peers = Arc::pin_init(Peers::new(), GFP_KERNEL)?;
        assert!(peers.set(&settings(1, 7, b"tablet")?).is_ok());
        let peer = peers.by_name(b"tablet").ok_or(ENOENT)?;
        assert!(!peer.is_online());
        assert!(peer.call_sync(request(1)?).err() == Some(ENOTCONN.error()));
        let ends = Ends::new()?;
        peer.call(request(1)?, probe(&ends)?);
        assert!(ends.is(1, ENOTCONN.error()));
        let long = Request {
            body: KVVec::from_elem(0, super::super::MAX_REQUEST_BODY + 1, GFP_KERNEL)?,
            data: None,
            data_limit: 0,
            effect: Effect::None,
            slow: false,
        };
        peer.call(long, probe(&ends)?);
        assert!(ends.is(2, EMSGSIZE));
        peers.shutdown();
        Ok(())
    }

    #[test]
    fn numbers_and_names_are_unique() -> Result {
        let peers = Arc::pin_init(Peers::new(), GFP_KERNEL)?;
        let before = peers.generation();
        assert!(peers.set(&settings(1, 7, b"tablet")?).is_ok());
        assert!(peers.set(&settings(2, 3, b"phone")?).is_ok());
        assert!(peers.generation() != before);
        let refused = |id, number, name: &[u8]| -> Result<Option<SettingsError>> {
            Ok(peers.set(&settings(id, number, name)?).err())
        };
        assert!(refused(3, 7, b"watch")? == Some(SettingsError::NumberTaken));
        assert!(refused(3, 8, b"phone")? == Some(SettingsError::NameTaken));
        assert!(refused(1, 8, b"tablet")? == Some(SettingsError::NumberFixed));
        let numbers = peers.snapshot()?;
        assert!(numbers.iter().map(|peer| peer.number()).eq([3, 7]));
        assert!(peers.at_or_after(4).is_some_and(|peer| peer.number() == 7));
        peers.shutdown();
        assert!(refused(4, 9, b"watch")? == Some(SettingsError::Unmounting));
        Ok(())
    }

    #[test]
    fn a_device_may_do_nothing_until_it_is_allowed() -> Result {
        let peers = Arc::pin_init(Peers::new(), GFP_KERNEL)?;
        let mut device = settings(1, 7, b"tablet")?;
        assert!(peers.set(&device).is_ok());
        let peer = peers.by_id(&device.id).ok_or(ENOENT)?;
        assert!(peer.access() == Access::None && peer.level().is_none());
        device.access = Some(Access::Read);
        device.level = Level::new(2);
        assert!(peers.set(&device).is_ok());
        assert!(peer.access() == Access::Read && peer.level() == Level::new(2));
        assert!(peers.remove(&device.id));
        assert!(!peers.remove(&device.id));
        Ok(())
    }

    #[test]
    fn names_of_directories_are_not_names_of_devices() {
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"local",
            b"merge",
            b"a/b",
            &[b'x'; 64],
        ] {
            assert!(DeviceName::new(bad).is_none());
        }
        for good in [&b"x"[..], b"Anna's laptop", &[b'x'; 63]] {
            assert!(DeviceName::new(good).is_some_and(|name| name.as_bytes() == good));
        }
    }
}
