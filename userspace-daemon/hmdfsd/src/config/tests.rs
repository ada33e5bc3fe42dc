// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

fn id(octet: u8) -> String {
    DeviceId([octet; 32]).to_string()
}

fn load(files: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("hmdfsd.toml.d")).unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    Config::load(&directory.path().join("hmdfsd.toml"))
}

fn error_of(text: &str) -> String {
    load(&[("hmdfsd.toml", text)]).unwrap_err().to_string()
}

fn peer(octet: u8, number: u32, name: &str, rest: &str) -> String {
    format!(
        "[[peer]]\nid = '{}'\nnumber = {number}\nname = '{name}'\n{rest}\n",
        id(octet)
    )
}

#[test]
fn an_empty_file_has_the_defaults() {
    let config = load(&[("hmdfsd.toml", "")]).unwrap();
    assert_eq!(config.listen, ["[::]:20714"]);
    assert_eq!(config.state_dir, Path::new("/var/lib/hmdfs"));
    assert!(config.peers.is_empty());
    assert!(check_name(&config.name).is_ok());
}

#[test]
fn a_peer_has_nothing_unless_it_is_given() {
    let config = load(&[("hmdfsd.toml", &peer(1, 7, "tablet", ""))]).unwrap();
    assert_eq!(config.peers[0].access, Access::None);
    assert_eq!(config.peers[0].level, None);
    assert!(config.peers[0].addresses.is_empty());
}

#[test]
fn drop_ins_override_and_add() {
    let config = load(&[
        (
            "hmdfsd.toml",
            &format!("name = 'laptop'\n{}", peer(2, 2, "phone", "")),
        ),
        ("hmdfsd.toml.d/10-a.toml", "name = 'desk'"),
        (
            "hmdfsd.toml.d/20-b.toml",
            &peer(
                1,
                1,
                "tablet",
                "access = 'write'\nlevel = 3\naddresses = ['tablet.lan:20714', '[fe80::1]:1']",
            ),
        ),
        ("hmdfsd.toml.d/notes.txt", "this is no configuration"),
    ])
    .unwrap();
    assert_eq!(config.name, "desk");
    let names: Vec<_> = config.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["tablet", "phone"]);
    assert_eq!(config.peers[0].access, Access::Write);
    assert_eq!(config.peers[0].level, Some(3));
}

#[test]
fn errors_name_the_file_the_key_and_the_remedy() {
    for (text, expected) in [
        (
            "colour = 'red'".to_owned(),
            vec!["hmdfsd.toml:", "colour", "hmdfsd.toml(5)"],
        ),
        (
            "listen = ['20714']".to_owned(),
            vec!["listen:", "HOST:PORT"],
        ),
        (
            "state-dir = 'var'".to_owned(),
            vec!["state-dir:", "relative"],
        ),
        (peer(1, 0, "a", ""), vec!["peer 'a': number:", "1 to 4095"]),
        (peer(1, 4096, "a", ""), vec!["peer 'a': number:"]),
        (
            peer(1, 1, "local", ""),
            vec!["peer 'local': name:", "reserved", "another name"],
        ),
        (peer(1, 1, "a/b", ""), vec!["name:", "'/'"]),
        (peer(1, 1, "", ""), vec!["name:", "empty"]),
        (
            peer(1, 1, "a", "level = 6"),
            vec!["peer 'a': level:", "1 to 5"],
        ),
        (
            peer(1, 1, "a", "access = 'all'"),
            vec!["access", "none", "read", "write"],
        ),
        (
            peer(1, 1, "a", "addresses = ['10.0.0.2']"),
            vec!["addresses:", "HOST:PORT"],
        ),
        (
            peer(1, 1, "a", "addresses = ['fe80::1:20714']"),
            vec!["addresses:"],
        ),
        (
            peer(1, 1, "a", "").replace("hm1-", "hm2-"),
            vec!["peer 'a': id:", "--print-id"],
        ),
        (
            peer(1, 1, "a", "") + &peer(2, 1, "b", ""),
            vec!["peer 'b': number:", "'a'"],
        ),
        (
            peer(1, 1, "a", "") + &peer(1, 2, "b", ""),
            vec!["peer 'b': id:", "'a'"],
        ),
        (
            peer(1, 1, "a", "") + &peer(2, 2, "a", ""),
            vec!["peer 'a': name:"],
        ),
    ] {
        let error = error_of(&text);
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
    }
}

#[test]
fn a_clash_names_the_drop_in_that_made_it() {
    let error = load(&[
        ("hmdfsd.toml", &peer(1, 1, "a", "")),
        ("hmdfsd.toml.d/new.toml", &peer(2, 1, "b", "")),
    ]);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("hmdfsd.toml.d/new.toml: peer 'b': number"),
        "{error}"
    );
}

#[test]
fn a_device_is_not_its_own_peer() {
    let config = load(&[("hmdfsd.toml", &peer(1, 1, "a", ""))]).unwrap();
    let check = |own| config.check_own(Path::new("hmdfsd.toml"), DeviceId(own));
    assert!(check([2; 32]).is_ok());
    let error = check([1; 32]).unwrap_err().to_string();
    assert!(
        error.contains("peer 'a': id: it is the ID of this device"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_an_error() {
    let error = Config::load(Path::new("/nonexistent/hmdfsd.toml")).unwrap_err();
    assert!(error.to_string().contains("hmdfsd.toml(5)"));
}
