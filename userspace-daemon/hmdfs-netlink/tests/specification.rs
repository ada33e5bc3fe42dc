// SPDX-License-Identifier: MIT OR Apache-2.0

//! The numbers of this crate are those of the specification.

#![allow(clippy::unwrap_used)]

use hmdfs_netlink::{uapi, Access, DownReason, LinkRole, LinkState};
use yaml_rust2::{Yaml, YamlLoader};

fn specification() -> Yaml {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../Documentation/netlink/specs/hmdfs.yaml"
    );
    let text = std::fs::read_to_string(path).unwrap();
    YamlLoader::load_from_str(&text).unwrap().remove(0)
}

fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().unwrap()
}

/// Names in their order, numbered from `first`: that is how netlink specifications count. An
/// explicit number would be another rule, so there must be none.
fn numbered(entries: &[Yaml], first: u32) -> Vec<(String, u32)> {
    entries
        .iter()
        .zip(first..)
        .map(|(entry, number)| {
            assert!(entry["value"].is_badvalue(), "an explicit value: {entry:?}");
            let name = entry.as_str().or_else(|| entry["name"].as_str()).unwrap();
            (name.to_owned(), number)
        })
        .collect()
}

fn named<T: Copy + Into<u32>>(table: &[(&str, T)]) -> Vec<(String, u32)> {
    table
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect()
}

fn find<'a>(entries: &'a Yaml, name: &str) -> &'a Yaml {
    let found = list(entries)
        .iter()
        .find(|e| e["name"].as_str() == Some(name));
    found.unwrap_or_else(|| panic!("{name} is not in the specification"))
}

#[test]
fn family() {
    let spec = specification();
    assert_eq!(spec["name"].as_str(), Some(uapi::FAMILY_NAME));
    assert_eq!(spec["protocol"].as_str(), Some("genetlink"));
    let groups = list(&spec["mcast-groups"]["list"]);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0]["name"].as_str(), Some(uapi::GROUP_EVENTS));
}

#[test]
fn operations() {
    let spec = specification();
    let expected = numbered(list(&spec["operations"]["list"]), 1);
    assert_eq!(named(uapi::cmd::ALL), expected);
}

#[test]
fn attributes() {
    let spec = specification();
    let sets = [
        ("instance", uapi::instance::ALL),
        ("device", uapi::device::ALL),
        ("link", uapi::link::ALL),
        ("link-stats", uapi::link_stats::ALL),
    ];
    assert_eq!(list(&spec["attribute-sets"]).len(), sets.len());
    for (name, table) in sets {
        let set = find(&spec["attribute-sets"], name);
        assert_eq!(
            named(table),
            numbered(list(&set["attributes"]), 1),
            "{name}"
        );
    }
}

#[test]
fn enumerations() {
    let spec = specification();
    for (name, table) in [
        ("access", Access::ALL),
        ("link-role", LinkRole::ALL),
        ("link-state", LinkState::ALL),
        ("down-reason", DownReason::ALL),
    ] {
        let definition = find(&spec["definitions"], name);
        assert_eq!(
            named(table),
            numbered(list(&definition["entries"]), 0),
            "{name}"
        );
    }
    for (name, text, number) in [
        ("read", Access::Read.as_str(), u32::from(Access::Read)),
        (
            "key-limit",
            DownReason::KeyLimit.as_str(),
            DownReason::KeyLimit.into(),
        ),
    ] {
        assert_eq!(text, name);
        assert!(number > 0);
    }
}

#[test]
fn constants() {
    let spec = specification();
    let value = |name| find(&spec["definitions"], name)["value"].as_i64().unwrap();
    assert_eq!(value("device-id-len"), uapi::DEVICE_ID_LEN as i64);
    assert_eq!(value("device-name-max"), uapi::DEVICE_NAME_MAX as i64);
}
