// SPDX-License-Identifier: GPL-2.0

//! A mount: what this device exports, the devices it knows, and its options.
//!
//! There is at most one in each network namespace, where it is one device. It can
//! be mounted in several places, which then share everything.

use hmdfs_kapi::{
    errno::EOPNOTSUPP,
    fs::{
        self,
        context::{Log, Parameter, Request},
        stack::watch::Watch,
        SuperBlock,
    },
    global::Global,
    net::Namespace,
    random::get_random_u64,
    vfs::{self, PrivateMount, StatFs, XattrMode},
};
use hmdfs_model::names::Directories;
use hmdfs_proto::Operation;
use kernel::{
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    str::CString,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow, Mutex,
    },
};

use crate::{
    control,
    export::Export,
    local,
    node::{Inode, InodeRef, Node},
    peer::Peers,
    remote::{
        self,
        compound::{self, Outcomes},
        extended,
    },
    validity::Validity,
    view::{self, DentryOps, View},
};

mod options;

use options::{text_of, Options};

/// The type of file system.
pub(crate) struct Hmdfs;

/// Bytes that are read ahead: several requests of the largest size.
const READAHEAD: usize = 8 << 20;

/// Number of the next mount.
static NEXT: Atomic<u32> = Atomic::new(1);

/// All mounts. Locked for moments only; nothing is waited for meanwhile.
static MOUNTS: Global<KVec<Arc<Mount>>> = Global::new(KVec::new());

/// The mount of a network namespace.
pub(crate) fn find(net: &Namespace) -> Option<Arc<Mount>> {
    MOUNTS
        .lock()
        .iter()
        .find(|mount| *mount.net == *net)
        .cloned()
}

/// When a peer was asked.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    /// Questions are numbered as they are asked; an answer to an earlier one does not replace
    /// that to a later one.
    pub(crate) number: u64,
    /// For how long the answer is used without asking again.
    pub(crate) validity: Validity,
}

/// A mount.
#[pin_data]
pub(crate) struct Mount {
    /// Its number, never used again while the module is loaded.
    pub(crate) id: u32,
    /// Random; a device that sees another number than before knows that this is not the same
    /// mount.
    pub(crate) epoch: u64,
    /// The network namespace that it belongs to.
    pub(crate) net: ARef<Namespace>,
    /// The devices that it knows, and the links to them.
    #[pin]
    pub(crate) peers: Peers,
    /// What peers are served.
    pub(crate) export: Arc<Export>,
    /// When it was made: the times of the directories that exist in views only.
    pub(crate) mounted_at: (i64, u32),
    /// Number of the last question to any peer.
    questions: Atomic<u64>,
    /// The exported directory, in a mount of its own: what else is mounted below it, and where
    /// it is unmounted, does not matter.
    root: vfs::Path,
    /// Only while it is mounted.
    #[pin]
    watch: Mutex<Option<Watch>>,
    /// Dropped after all paths of it.
    _private: PrivateMount,
    source: CString,
    options: Options,
}

impl Mount {
    /// Notes that a peer is about to be asked for something that will be remembered.
    pub(crate) fn ask(&self) -> Question {
        Question {
            number: self.questions.fetch_add(1, Relaxed),
            validity: self.lease(),
        }
    }

    /// How long what a peer tells now is used without asking again.
    fn lease(&self) -> Validity {
        let jiffies =
            kernel::time::msecs_to_jiffies(self.options.attribute_timeout.saturating_mul(1000));
        if jiffies == 0 {
            return Validity::NONE;
        }
        Validity::lease(self.peers.generation(), jiffies as usize)
    }

    /// What happens to remote directories whose names are those of local ones.
    pub(crate) fn directories(&self) -> Directories {
        self.options.directories()
    }

    /// The exported directory.
    pub(crate) fn local_path(&self) -> vfs::Path {
        self.root.clone()
    }

    /// The inode of `device_view/local`.
    pub(crate) fn local_root(&self, sb: &SuperBlock<Hmdfs>) -> Result<InodeRef> {
        local::iget(sb, self.root.clone())
    }
}

/// The key that authenticates the handles of an exported directory.
///
/// It is kept with the directory, where only the administrator of this device can read it, so
/// that handles stay good over restarts. Where it cannot be kept, they are good for one mount.
fn handle_key(root: &vfs::Path) -> [u8; 16] {
    const NAME: &CStr = c"trusted.hmdfs.key";
    let mut key = [0; 16];
    if root.getxattr(NAME, &mut key) == Ok(key.len()) {
        return key;
    }
    let (low, high) = key.split_at_mut(8);
    low.copy_from_slice(&get_random_u64().to_le_bytes());
    high.copy_from_slice(&get_random_u64().to_le_bytes());
    if let Err(error) = root.setxattr(NAME, &key, XattrMode::Any) {
        pr_info!("handles of this export end with this mount: {error:?}\n");
    }
    key
}

impl fs::FileSystem for Hmdfs {
    const NAME: &'static CStr = c"hmdfs";
    const MAGIC: u32 = 0x686d_6466;

    type Options = Options;
    type Data = Arc<Mount>;
    type InodeKey = crate::node::Key;
    type InodeData = Node;

    fn options() -> Result<Options> {
        Ok(Options::DEFAULT)
    }

    fn parse_parameter(
        options: &mut Options,
        parameter: &Parameter<'_>,
        log: &Log<'_>,
    ) -> Result<bool> {
        options.parse(parameter, log)
    }

    fn prepare(options: &Options, request: &Request<'_>) -> Result<Arc<Mount>> {
        let log = request.log();
        let Some(source) = request.source() else {
            log.error(fmt!(
                "no directory to export is named: mount -t hmdfs DIRECTORY MOUNTPOINT"
            ));
            return Err(EINVAL);
        };
        let root = vfs::Path::kern_path_directory(source).inspect_err(|&error| {
            let why = if error == ENOTDIR {
                "is not a directory"
            } else if error == ENOENT {
                "does not exist"
            } else {
                "cannot be opened"
            };
            log.error(fmt!(
                "the directory to export, '{}', {why}",
                source.to_str().unwrap_or("?")
            ));
        })?;
        let private = PrivateMount::clone_private_mount(&root).inspect_err(|_| {
            log.error(fmt!(
                "the directory to export is not in this mount namespace, or may not be mounted elsewhere"
            ));
        })?;
        let root = private.root();
        let export = Export::new(root.clone(), handle_key(&root)).map_err(|refusal| {
            log.error(fmt!("{}", refusal.as_str()));
            Error::from(refusal)
        })?;
        Arc::pin_init(
            try_pin_init!(Mount {
                id: NEXT.fetch_add(1, Relaxed),
                epoch: get_random_u64(),
                net: request.net_ns().into(),
                peers <- Peers::new(),
                root,
                watch <- new_mutex!(None, "hmdfs::Mount::watch"),
                _private: private,
                export,
                mounted_at: fs::inode::current_time(),
                questions: Atomic::new(0),
                source: source.try_into()?,
                options: options.clone(),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn same_superblock(existing: ArcBorrow<'_, Mount>, proposed: ArcBorrow<'_, Mount>) -> bool {
        *existing.net == *proposed.net
    }

    fn share(
        existing: ArcBorrow<'_, Mount>,
        proposed: ArcBorrow<'_, Mount>,
        log: &Log<'_>,
    ) -> Result {
        if !existing.root.is_same(&proposed.root) {
            log.error(fmt!(
                "this network namespace exports '{}' already; unmount that first",
                existing.source.to_str().unwrap_or("?")
            ));
            return Err(EBUSY);
        }
        let directories = existing.directories();
        let wanted = proposed.options.directories;
        if wanted.is_some_and(|wanted| wanted != directories) {
            log.error(fmt!(
                "this directory is mounted with dirs={} already; unmount that first",
                text_of(directories)
            ));
            return Err(EBUSY);
        }
        Ok(())
    }

    fn fill_super(sb: &SuperBlock<Self>, log: &Log<'_>) -> Result<InodeRef> {
        let mount = sb.data();
        sb.set_stack_depth(mount.root.stack_depth().saturating_add(1))
            .inspect_err(|_| {
                log.error(fmt!("too many file systems are stacked on each other"));
            })?;
        sb.set_default_d_op::<DentryOps>();
        sb.setup_bdi(READAHEAD)?;
        *mount.watch.lock() = Some(local::watch(sb, &mount.root)?);
        view::iget(sb, View::Root)
    }

    fn mounted(mount: ArcBorrow<'_, Mount>) -> Result {
        MOUNTS.lock().push(mount.into(), GFP_KERNEL)?;
        control::notify::mount(&mount, true);
        Ok(())
    }

    fn unmounting(mount: ArcBorrow<'_, Mount>) {
        let watch = mount.watch.lock().take();
        drop(watch);
    }

    fn unmounted(mount: ArcBorrow<'_, Mount>) {
        {
            let mut mounts = MOUNTS.lock();
            mounts.retain(|other| other.id != mount.id);
            // A static is not dropped: its memory must be gone when the module goes.
            if mounts.is_empty() {
                *mounts = KVec::new();
            }
        }
        mount.peers.shutdown();
        control::notify::mount(&mount, false);
    }

    fn umount_begin(mount: ArcBorrow<'_, Mount>) {
        mount.peers.abort();
    }

    fn sync_fs(mount: ArcBorrow<'_, Mount>) -> Result {
        // Both are tried, whatever happens to the other.
        let remote = remote::write::sync(&mount);
        mount.root.sync_filesystem()?;
        remote
    }

    fn getxattr(inode: &Inode, name: &CStr, value: &mut [u8]) -> Result<usize> {
        match inode.data() {
            Node::Remote(node) => extended::getxattr(node, name, value),
            _ => Err(EOPNOTSUPP.into()),
        }
    }

    fn setxattr(inode: &Inode, name: &CStr, value: Option<&[u8]>, mode: XattrMode) -> Result {
        match inode.data() {
            Node::Remote(node) => extended::setxattr(inode, node, name, value, mode),
            _ => Err(EOPNOTSUPP.into()),
        }
    }

    fn statfs(inode: &Inode) -> Result<StatFs> {
        match inode.data() {
            Node::Remote(node) => {
                let operations = [Operation::File(node.handle()), Operation::StatFileSystem];
                let reply = compound::call(node.peer(), &operations, 0)?;
                let mut outcomes = Outcomes::new(&reply, &operations)?;
                outcomes.done()?;
                let stat = outcomes.file_system()?;
                Ok(StatFs {
                    block_size: stat.block_size,
                    blocks: stat.blocks,
                    blocks_free: stat.blocks_free,
                    blocks_available: stat.blocks_available,
                    files: stat.files,
                    files_free: stat.files_free,
                    name_max: stat.name_max,
                })
            }
            _ => inode.super_block().data().root.statfs(),
        }
    }

    fn show_options(mount: ArcBorrow<'_, Mount>, seq: &SeqFile) {
        mount.options.show(seq);
    }
}
