// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a peer may not change: without the right to write, above its level, and as
//! an impostor with a trusted key.

use std::fs::{self, File};
use std::os::unix::fs::{symlink, PermissionsExt};

use anyhow::{anyhow, ensure, Context, Result};
use hmdfs_proto::{
    AttributeName, Handle, Name, Operation, RenameFlags, SetAttributes, SetMode, Target,
};
use rustix::fs::{setxattr, XattrFlags};

use crate::fleet::{Fleet, Plan};
use crate::impostor::Impostor;
use crate::net::Network;
use crate::random::Random;
use crate::suite::support::{fails, holds, same, truncate};
use crate::suite::{tests, Group};
use crate::tree;

/// The laptop may read on the tablet, and write on the phone with a low level.
pub const GROUP: Group = Group {
    name: "remote_limits",
    fleet: Some(|| {
        Plan::new(&["laptop", "tablet", "phone"])
            .policy("tablet", "laptop", "read", 4)
            .policy("phone", "laptop", "write", 2)
            .start()
    }),
    seconds: 2,
    tests: tests![
        Fleet: what_exists_can_be_opened_where_nothing_can_be_made,
        labels_protect_against_changes,
        new_files_get_the_label_of_their_directory,
    ],
};

/// A laptop that a tablet may write to, or only read; of the tablet only the key is left.
pub const HOSTILE: Group = Group {
    name: "hostile_changes",
    fleet: Some(prepare),
    seconds: 5,
    tests: tests![
        Fleet: an_honest_change_is_made,
        forged_handles_name_nothing,
        what_is_outside_is_not_reached,
        no_devices_and_no_powers_are_made,
        directories_stay_a_tree,
        random_changes_do_no_harm,
    ],
};

fn label(path: &std::path::Path, label: &str) -> Result<()> {
    setxattr(
        path,
        "user.hmdfs.label",
        label.as_bytes(),
        XattrFlags::empty(),
    )?;
    Ok(())
}

fn what_exists_can_be_opened_where_nothing_can_be_made(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = (
        fleet.device("tablet")?.export(),
        fleet.device("laptop")?.view("tablet"),
    );
    fs::write(home.join("file"), "content")?;
    fs::create_dir(home.join("folder"))?;
    // O_CREAT is no harm when there is something to open, known to this device or not.
    for _ in 0..2 {
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::RDONLY;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::openat(rustix::fs::CWD, there.join("file"), flags, mode)?;
        let made = rustix::fs::openat(rustix::fs::CWD, there.join("new"), flags, mode);
        fails("a new file", made.map_err(Into::into), libc::EROFS)?;
    }
    fails(
        "a new folder",
        fs::create_dir(there.join("new")),
        libc::EROFS,
    )?;
    // That there is one already is the better answer.
    fails(
        "one that exists",
        fs::create_dir(there.join("folder")),
        libc::EEXIST,
    )?;
    fails("a link", symlink("x", there.join("file")), libc::EEXIST)?;
    fails(
        "an exclusive file",
        File::create_new(there.join("file")),
        libc::EEXIST,
    )?;
    fails(
        "truncating",
        File::options()
            .write(true)
            .truncate(true)
            .open(there.join("file")),
        libc::EROFS,
    )?;
    same("names", tree::names(&home)?.len(), 2)
}

/// The laptop has level 2 on the phone: S2 and less. Files without a label are S3.
fn labels_protect_against_changes(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = (
        fleet.device("phone")?.export(),
        fleet.device("laptop")?.view("phone"),
    );
    let denied = libc::EACCES;
    fails(
        "in a directory that is S3",
        fs::write(there.join("x"), ""),
        denied,
    )?;
    fails("a directory there", fs::create_dir(there.join("x")), denied)?;
    fs::create_dir(home.join("open"))?;
    label(&home.join("open"), "s2")?;
    fs::write(home.join("open/secret"), "secret")?;
    fs::write(home.join("open/public"), "public")?;
    label(&home.join("open/public"), "s0")?;
    let (secret, public) = (there.join("open/secret"), there.join("open/public"));
    fails("writing", File::options().write(true).open(&secret), denied)?;
    fails("cutting", truncate(&secret, 0), denied)?;
    fails(
        "chmod",
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o777)),
        denied,
    )?;
    fails("removing", fs::remove_file(&secret), denied)?;
    fails(
        "renaming",
        fs::rename(&secret, there.join("open/x")),
        denied,
    )?;
    fails("replacing", fs::rename(&public, &secret), denied)?;
    fails(
        "linking",
        fs::hard_link(&secret, there.join("open/x")),
        denied,
    )?;
    fails(
        "moving out",
        fs::rename(&public, there.join("public")),
        denied,
    )?;
    let noted = setxattr(&secret, "user.x", b"y", XattrFlags::empty());
    fails("setxattr", noted.map_err(Into::into), denied)?;
    setxattr(
        home.join("open/secret"),
        "user.note",
        b"n",
        XattrFlags::empty(),
    )?;
    let read = rustix::fs::getxattr(&secret, "user.note", &mut [0; 10]);
    fails("getxattr", read.map_err(Into::into), denied)?;
    // A link cannot carry a label.
    symlink("public", home.join("open/link"))?;
    fails(
        "removing a link",
        fs::remove_file(there.join("open/link")),
        denied,
    )?;
    holds(&home.join("open/secret"), b"secret")?;
    // What is below the level is free.
    fs::rename(&public, there.join("open/renamed"))?;
    fs::set_permissions(
        there.join("open/renamed"),
        fs::Permissions::from_mode(0o600),
    )?;
    fs::remove_file(there.join("open/renamed"))?;
    let relabelled = setxattr(
        there.join("open"),
        "user.hmdfs.label",
        b"s0",
        XattrFlags::empty(),
    );
    fails("the label", relabelled.map_err(Into::into), libc::EPERM)?;
    fs::remove_dir_all(home.join("open"))?;
    Ok(())
}

fn new_files_get_the_label_of_their_directory(fleet: &mut Fleet) -> Result<()> {
    let (home, there) = (
        fleet.device("phone")?.export().join("inbox"),
        fleet.device("laptop")?.view("phone").join("inbox"),
    );
    fs::create_dir(&home)?;
    label(&home, "s1")?;
    fs::write(there.join("file"), "mine").context("making a file")?;
    holds(&there.join("file"), b"mine")?;
    fs::create_dir_all(there.join("deep/deeper")).context("making directories")?;
    fs::write(there.join("deep/deeper/file"), "also mine").context("making a file below")?;
    holds(&there.join("deep/deeper/file"), b"also mine")?;
    for name in ["file", "deep", "deep/deeper", "deep/deeper/file"] {
        let mut text = [0; 8];
        let length = rustix::fs::getxattr(home.join(name), "user.hmdfs.label", &mut text)?;
        same(name, &text[..length], b"s1")?;
    }
    // The inbox itself has its name in a directory that is S3.
    fails("removing all", fs::remove_dir_all(&there), libc::EACCES)?;
    same("names left", tree::names(&home)?.len(), 0)?;
    fs::remove_dir(home)?;
    Ok(())
}

fn prepare() -> Result<Fleet> {
    let mut fleet = Plan::new(&["laptop", "tablet"])
        .policy("laptop", "tablet", "write", 4)
        .start()?;
    let export = fleet.device("laptop")?.export();
    fs::write(export.join("file"), "content")?;
    fs::create_dir_all(export.join("folder/inner"))?;
    let tablet = fleet.device_mut("tablet")?;
    tablet.stop()?;
    tablet.umount()?;
    Ok(fleet)
}

fn greeted(fleet: &Fleet) -> Result<Impostor> {
    Impostor::greeted(
        fleet.device("tablet")?,
        fleet.device("laptop")?,
        &Network::address(1),
    )
}

fn name(text: &str) -> Result<Name<'_>> {
    Name::new(text.as_bytes()).map_err(|error| anyhow!("{error:?}"))
}

/// The handle of a file below the root.
fn handle(impostor: &mut Impostor, path: &[&str]) -> Result<Handle> {
    let mut operations = vec![Operation::Root];
    for part in path {
        operations.push(Operation::Walk(name(part)?));
    }
    operations.push(Operation::GetHandle);
    let found = impostor.handle(&operations)?;
    found.ok_or_else(|| anyhow!("there is no {path:?}"))
}

fn an_honest_change_is_made(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let create = Operation::Create {
        name: name("made")?,
        mode: (0o644, 0),
        exclusive: true,
    };
    same("status", impostor.compound(&[Operation::Root, create])?, 0)?;
    let export = fleet.device("laptop")?.export();
    ensure!(export.join("made").is_file(), "nothing was made");
    let file = handle(&mut impostor, &["made"])?;
    let made = name("made")?;
    let remove = |file, directory| Operation::Remove {
        name: made,
        file,
        directory,
        open: false,
    };
    // Not what it is said to be.
    let other = handle(&mut impostor, &["file"])?;
    same(
        "another file",
        impostor.compound(&[Operation::Root, remove(other, false)])?,
        libc::ESTALE as u32,
    )?;
    same(
        "a directory",
        impostor.compound(&[Operation::Root, remove(file, true)])?,
        libc::ENOTDIR as u32,
    )?;
    same(
        "status",
        impostor.compound(&[Operation::Root, remove(file, false)])?,
        0,
    )?;
    ensure!(!export.join("made").exists(), "not removed");
    impostor.hang_up()
}

fn forged_handles_name_nothing(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let mut random = Random::new(90);
    let forged = |random: &mut Random| {
        Handle::with_identity(&random.bytes(40), 20).map_err(|error| anyhow!("{error:?}"))
    };
    for _ in 0..20 {
        let root = handle(&mut impostor, &[])?;
        let file = handle(&mut impostor, &["file"])?;
        let other = forged(&mut random)?;
        let stale = libc::ESTALE as u32;
        let link = Operation::Link {
            name: name("x")?,
            file: other,
        };
        same("link", impostor.compound(&[Operation::Root, link])?, stale)?;
        let rename = |file, new_directory| -> Result<Operation<'static>> {
            Ok(Operation::Rename {
                name: name("file")?,
                file,
                new_directory,
                new_name: name("x")?,
                flags: RenameFlags::Replace,
                open: false,
            })
        };
        same(
            "to",
            impostor.compound(&[Operation::Root, rename(file, other)?])?,
            stale,
        )?;
        same(
            "of",
            impostor.compound(&[Operation::Root, rename(other, root)?])?,
            stale,
        )?;
    }
    holds(&fleet.device("laptop")?.export().join("file"), b"content")?;
    impostor.hang_up()
}

/// A file that was moved out of the share is nobody's any more, and a directory outside no place.
fn what_is_outside_is_not_reached(fleet: &mut Fleet) -> Result<()> {
    // The export is a mount of its own, so what was moved out was removed.
    let mut impostor = greeted(fleet)?;
    let export = fleet.device("laptop")?.export();
    fs::create_dir(export.join("leaving"))?;
    let leaving = handle(&mut impostor, &["leaving"])?;
    let file = handle(&mut impostor, &["file"])?;
    fs::remove_dir(export.join("leaving"))?;
    let rename = Operation::Rename {
        name: name("file")?,
        file,
        new_directory: leaving,
        new_name: name("x")?,
        flags: RenameFlags::Replace,
        open: false,
    };
    same(
        "a directory that is gone",
        impostor.compound(&[Operation::Root, rename])?,
        libc::ESTALE as u32,
    )?;
    // Links are not followed, wherever they lead.
    symlink("/etc", export.join("out"))?;
    let through = [
        Operation::Root,
        Operation::Walk(name("out")?),
        Operation::MakeDirectory {
            name: name("made")?,
            mode: (0o755, 0),
        },
    ];
    same(
        "through a link",
        impostor.compound(&through)?,
        libc::ENOTDIR as u32,
    )?;
    ensure!(!std::path::Path::new("/etc/made").exists(), "made outside");
    let over = Operation::SetAttributes(SetAttributes {
        size: Some(0),
        ..SetAttributes::default()
    });
    let steps = [Operation::Root, Operation::Walk(name("out")?), over];
    let status = impostor.compound(&steps)?;
    ensure!(status != 0, "a link was cut");
    fs::remove_file(export.join("out"))?;
    impostor.hang_up()
}

fn no_devices_and_no_powers_are_made(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let denied = libc::EPERM as u32;
    for kind in [
        0o020_000, 0o060_000, 0, 0o040_000, 0o120_000, 0o100_000, 0o170_000,
    ] {
        let node = Operation::MakeNode {
            name: name("node")?,
            mode: (kind | 0o666, 0),
            device: (1, 3),
        };
        same(
            "a node",
            impostor.compound(&[Operation::Root, node])?,
            denied,
        )?;
    }
    for mode in [0o4755, 0o2755, 0o6777] {
        let create = Operation::Create {
            name: name("node")?,
            mode: (mode, 0),
            exclusive: true,
        };
        same(
            "set-user-ID",
            impostor.compound(&[Operation::Root, create])?,
            denied,
        )?;
        let set = Operation::SetAttributes(SetAttributes {
            mode: Some(mode),
            ..SetAttributes::default()
        });
        let steps = [Operation::Root, Operation::Walk(name("file")?), set];
        same("set-user-ID", impostor.compound(&steps)?, denied)?;
    }
    for text in [
        "trusted.hmdfs.key",
        "security.capability",
        "system.other",
        "user.",
    ] {
        let name = AttributeName::new(text.as_bytes()).map_err(|error| anyhow!("{error:?}"))?;
        let refused = libc::EOPNOTSUPP as u32;
        let set = Operation::SetExtended {
            name,
            value: b"x",
            mode: SetMode::Any,
        };
        same(text, impostor.compound(&[Operation::Root, set])?, refused)?;
        let get = Operation::GetExtended(name);
        same(text, impostor.compound(&[Operation::Root, get])?, refused)?;
        let remove = Operation::RemoveExtended(name);
        same(
            text,
            impostor.compound(&[Operation::Root, remove])?,
            refused,
        )?;
    }
    ensure!(
        !fleet.device("laptop")?.export().join("node").exists(),
        "something was made"
    );
    impostor.hang_up()
}

fn directories_stay_a_tree(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let root = handle(&mut impostor, &[])?;
    let folder = handle(&mut impostor, &["folder"])?;
    let inner = handle(&mut impostor, &["folder", "inner"])?;
    let file = handle(&mut impostor, &["file"])?;
    let rename = |old: &'static str, file, new_directory, flags| -> Result<Operation<'static>> {
        Ok(Operation::Rename {
            name: name(old)?,
            file,
            new_directory,
            new_name: name("inner")?,
            flags,
            open: false,
        })
    };
    let replace = RenameFlags::Replace;
    for (what, operation, errno) in [
        (
            "into itself",
            rename("folder", folder, folder, replace)?,
            libc::EINVAL,
        ),
        (
            "into what is below",
            rename("folder", folder, inner, replace)?,
            libc::EINVAL,
        ),
        (
            "exchanged with what is below",
            rename("folder", folder, folder, RenameFlags::Exchange)?,
            libc::EINVAL,
        ),
        (
            "into a file",
            rename("folder", folder, file, replace)?,
            libc::ENOTDIR,
        ),
        (
            "the root removed",
            Operation::Remove {
                name: name("folder")?,
                file: root,
                directory: true,
                open: false,
            },
            libc::ESTALE,
        ),
        (
            "a full directory",
            Operation::Remove {
                name: name("folder")?,
                file: folder,
                directory: true,
                open: false,
            },
            libc::ENOTEMPTY,
        ),
        (
            "a link to a directory",
            Operation::Link {
                name: name("loop")?,
                file: folder,
            },
            libc::EPERM,
        ),
        (
            "the root linked",
            Operation::Link {
                name: name("loop")?,
                file: root,
            },
            libc::EPERM,
        ),
    ] {
        same(
            what,
            impostor.compound(&[Operation::Root, operation])?,
            errno as u32,
        )?;
    }
    ensure!(
        fleet
            .device("laptop")?
            .export()
            .join("folder/inner")
            .is_dir(),
        "the tree has changed"
    );
    impostor.hang_up()
}

/// Changes with handles and names at random: the tree stays one, and the laptop lives.
fn random_changes_do_no_harm(fleet: &mut Fleet) -> Result<()> {
    let mut impostor = greeted(fleet)?;
    let mut random = Random::new(91);
    let names = ["file", "folder", "inner", "x", "y"];
    let target = Target::new(b"../..").map_err(|error| anyhow!("{error:?}"))?;
    for _ in 0..300 {
        let mut handles = vec![handle(&mut impostor, &[])?];
        for path in [
            &["folder"][..],
            &["folder", "inner"],
            &["file"],
            &["x"],
            &["y"],
        ] {
            handles.extend(handle(&mut impostor, path).ok());
        }
        let mut pick = |count: usize| random.below(count as u64) as usize;
        let (first, second) = (name(names[pick(5)])?, name(names[pick(5)])?);
        let (some, other) = (handles[pick(handles.len())], handles[pick(handles.len())]);
        let change = match pick(7) {
            0 => Operation::MakeDirectory {
                name: first,
                mode: (0o755, 0),
            },
            1 => Operation::MakeLink {
                name: first,
                target,
            },
            2 => Operation::Link {
                name: first,
                file: some,
            },
            3 => Operation::Remove {
                name: first,
                file: some,
                directory: pick(2) == 0,
                open: pick(2) == 0,
            },
            4 => Operation::Create {
                name: first,
                mode: (0o644, 0),
                exclusive: pick(2) == 0,
            },
            _ => Operation::Rename {
                name: first,
                file: some,
                new_directory: other,
                new_name: second,
                flags: [
                    RenameFlags::Replace,
                    RenameFlags::NoReplace,
                    RenameFlags::Exchange,
                ][pick(3)],
                open: pick(2) == 0,
            },
        };
        impostor.compound(&[Operation::File(handles[pick(handles.len())]), change])?;
    }
    impostor.hang_up()?;
    tree::list(&fleet.device("laptop")?.local())?;
    let mut honest = greeted(fleet)?;
    same("status", honest.compound(&[Operation::Root])?, 0)?;
    honest.hang_up()
}
