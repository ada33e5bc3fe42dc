// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which of several links between two devices to keep.

use std::time::{Duration, Instant};

use hmdfs_netlink::{Link, LinkRole, LinkState, PeerId};
use hmdfs_tls::DeviceId;

/// Two links that came up within this time were dialled by both sides at once. A link that comes
/// up later replaces the older one: the other side would not have dialled if it still had it.
pub const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// A link as the daemon knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownLink {
    /// The kernel's number of it.
    pub id: u32,
    /// The device at its other end.
    pub peer: PeerId,
    /// Which side opened it, seen from here.
    pub role: LinkRole,
    /// How far it is.
    pub state: LinkState,
    /// When it came up; `None` when that was before the daemon looked.
    pub since: Option<Instant>,
}

impl KnownLink {
    /// The kernel's link, up since `since`.
    pub fn of(link: &Link, since: Option<Instant>) -> Self {
        KnownLink {
            id: link.id,
            peer: link.peer_id,
            role: link.role,
            state: link.state,
            since,
        }
    }
}

/// What this side is on the link that stays when both have dialled: the one that the device with
/// the smaller ID opened. Both sides come to the same result without asking each other.
pub fn preferred_role(own: DeviceId, peer: DeviceId) -> LinkRole {
    if own < peer {
        LinkRole::Initiator
    } else {
        LinkRole::Acceptor
    }
}

/// The links of one peer that should end, given all its links.
pub fn superfluous(links: &[KnownLink], preferred: LinkRole) -> Vec<u32> {
    let mut up: Vec<_> = links
        .iter()
        .filter(|link| link.state == LinkState::Up)
        .collect();
    up.sort_by_key(|link| (link.since, link.id));
    let Some(newest) = up.last().copied() else {
        return Vec::new();
    };
    let as_new = |link: &KnownLink| match (link.since, newest.since) {
        (Some(since), Some(latest)) => latest.duration_since(since) < SIMULTANEOUS,
        (since, latest) => since == latest,
    };
    let keep = up
        .iter()
        .rev()
        .find(|link| link.role == preferred && as_new(link))
        .map_or(newest.id, |link| link.id);
    up.iter()
        .map(|link| link.id)
        .filter(|id| *id != keep)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: u32, role: LinkRole, state: LinkState, since: Option<Instant>) -> KnownLink {
        KnownLink {
            id,
            peer: [1; 32],
            role,
            state,
            since,
        }
    }

    #[test]
    fn the_sides_agree() {
        let (a, b) = (DeviceId([1; 32]), DeviceId([2; 32]));
        assert_eq!(preferred_role(a, b), LinkRole::Initiator);
        assert_eq!(preferred_role(b, a), LinkRole::Acceptor);
    }

    #[test]
    fn one_link_stays() {
        let now = Some(Instant::now());
        let one = [link(1, LinkRole::Acceptor, LinkState::Up, now)];
        assert!(superfluous(&one, LinkRole::Initiator).is_empty());
        assert!(superfluous(&[], LinkRole::Initiator).is_empty());
    }

    #[test]
    fn of_two_at_once_the_preferred_stays() {
        let now = Instant::now();
        let soon = now + Duration::from_millis(200);
        let links = [
            link(1, LinkRole::Initiator, LinkState::Up, Some(now)),
            link(2, LinkRole::Acceptor, LinkState::Up, Some(soon)),
        ];
        assert_eq!(superfluous(&links, LinkRole::Initiator), [2]);
        assert_eq!(superfluous(&links, LinkRole::Acceptor), [1]);
    }

    #[test]
    fn a_later_one_replaces_an_old_one() {
        let now = Instant::now();
        let later = now + SIMULTANEOUS * 3;
        for since in [None, Some(now)] {
            let links = [
                link(1, LinkRole::Initiator, LinkState::Up, since),
                link(2, LinkRole::Acceptor, LinkState::Up, Some(later)),
            ];
            assert_eq!(superfluous(&links, LinkRole::Initiator), [1]);
        }
    }

    #[test]
    fn a_link_that_is_not_up_yet_ends_nothing() {
        let now = Some(Instant::now());
        let links = [
            link(1, LinkRole::Acceptor, LinkState::Up, now),
            link(2, LinkRole::Initiator, LinkState::Greeting, None),
        ];
        assert!(superfluous(&links, LinkRole::Initiator).is_empty());
    }

    #[test]
    fn of_two_alike_the_newer_stays() {
        let now = Instant::now();
        let soon = now + Duration::from_millis(200);
        let links = [
            link(7, LinkRole::Acceptor, LinkState::Up, Some(soon)),
            link(8, LinkRole::Acceptor, LinkState::Up, Some(now)),
        ];
        assert_eq!(superfluous(&links, LinkRole::Initiator), [8]);
    }
}
