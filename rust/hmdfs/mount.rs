// SPDX-License-Identifier: GPL-2.0

//! A mount: what this device exports, the devices it knows, and its options.
//!
//! There is at most one in each network namespace, where it is one device. It can
//! be mounted in several places, which then share everything, and directories of it
//! by themselves; so it may exist before this device exports anything.

use hmdfs_kapi::{
    errno::EOPNOTSUPP,
    fs::{
        self,
        context::{Log, Parameter, Request},
        stack::watch::{Unlinked, Watch},
        SuperBlock,
    },
    global::Global,
    net::Namespace,
    random::get_random_u64,
    vfs::{self, StatFs, XattrMode},
};
use hmdfs_model::names::Directories;
use kernel::{
    impl_has_delayed_work, new_delayed_work, new_mutex, new_spinlock,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        Arc, ArcBorrow, Mutex, SetOnce, SpinLock,
    },
    time::{Instant, Monotonic},
    workqueue::DelayedWork,
};

use crate::{
    control, local, merge,
    node::{Inode, InodeRef, Node},
    peer::{call::DEADLINE, Peers},
    remote::{self, extended, unfinished::Unfinished},
    validity::Validity,
    view::{self, DentryOps, View},
};

mod options;
mod share;
mod subtree;
mod visits;

use options::{text_of, Options};
use share::Share;
use subtree::Subtree;
pub(crate) use visits::Visit;
use visits::Visits;

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
    /// The generation of the set of peers when it was asked.
    pub(crate) generation: u64,
    /// For how long the answer is used without asking again, unless there is a lease.
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
    /// When it was made: the times of the directories that exist in views only.
    pub(crate) mounted_at: (i64, u32),
    made: Instant<Monotonic>,
    /// Number of the last question to any peer.
    questions: Atomic<u64>,
    /// What this device exports, from the moment on at which it was mounted.
    share: SetOnce<Arc<Share>>,
    /// What has to be taken back on other devices.
    #[pin]
    pub(crate) unfinished: Unfinished,
    /// Takes it back.
    #[pin]
    taking_back: DelayedWork<Mount>,
    /// Only while it is mounted.
    #[pin]
    watch: Mutex<Option<Watch>>,
    /// Its inodes; only while it is mounted.
    #[pin]
    pub(crate) inodes: SpinLock<Option<fs::inode::Inodes<Hmdfs>>>,
    /// Who uses them for another device.
    #[pin]
    visits: Visits,
    /// Files that were fetched ahead.
    #[pin]
    pub(crate) ahead: remote::ahead::Batches,
    /// Which merged directories are made of which directories.
    pub(crate) dependents: Arc<merge::Dependents>,
    options: Options,
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Mount { self.taking_back }
}

impl Mount {
    /// Notes that a peer is about to be asked for something that will be remembered.
    pub(crate) fn ask(&self) -> Question {
        Question {
            number: self.questions.fetch_add(1, Relaxed),
            generation: self.peers.generation(),
            validity: self.validity(),
        }
    }

    /// How long what a peer tells now is used without asking again.
    fn validity(&self) -> Validity {
        let jiffies =
            kernel::time::msecs_to_jiffies(self.options.attribute_timeout.saturating_mul(1000));
        if jiffies == 0 {
            return Validity::NONE;
        }
        Validity::timed(self.peers.generation(), jiffies as usize)
    }

    /// What happens to remote directories whose names are those of local ones.
    pub(crate) fn directories(&self) -> Directories {
        self.options.directories()
    }

    /// What this device exports, if it does.
    pub(crate) fn share(&self) -> Option<&Share> {
        self.share.as_ref().map(|share| &**share)
    }

    /// Whether it may not know all devices yet, and their links not be up.
    fn is_new(&self) -> bool {
        self.made.elapsed().as_millis() < i64::from(DEADLINE)
    }

    /// The inode of `device_view/local`, of a device that exports something.
    pub(crate) fn local_root(&self, sb: &SuperBlock<Hmdfs>) -> Result<Option<InodeRef>> {
        self.share()
            .map(|share| local::iget(sb, share.root.clone()))
            .transpose()
    }

    /// Begins to export something. `s_umount` is held.
    fn export(&self, sb: &SuperBlock<Hmdfs>, share: &Arc<Share>) -> Result {
        *self.watch.lock() = Some(local::watch(sb, &share.root)?);
        self.share.populate(share.clone());
        Ok(())
    }
}

/// How many levels above the lower file system a mount of it is.
fn stack_depth(share: Option<&Share>) -> u32 {
    // Without a share it is as deep as it will be, most likely, when there is one.
    let lower = share.map_or(0, |share| share.root.stack_depth());
    lower.saturating_add(1)
}

impl fs::FileSystem for Hmdfs {
    const NAME: &'static CStr = c"hmdfs";
    const MAGIC: u32 = 0x686d_6466;

    type Options = Options;
    type Subtree<'a> = Subtree<'a>;
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

    fn subtree<'a>(request: &'a Request<'_>) -> Result<Option<Subtree<'a>>> {
        let Some(source) = request.source() else {
            request.log().error(fmt!(
                "no directory to export is named: mount -t hmdfs DIRECTORY MOUNTPOINT"
            ));
            return Err(EINVAL);
        };
        Subtree::new(source, request.log())
    }

    fn find_subtree(
        mount: ArcBorrow<'_, Mount>,
        whole: &vfs::Path,
        subtree: &Subtree<'_>,
        log: &Log<'_>,
    ) -> Result<vfs::Path> {
        subtree.find(&mount, whole, log)
    }

    fn prepare(options: &Options, request: &Request<'_>) -> Result<Arc<Mount>> {
        let share = SetOnce::new();
        if let Some(source) = request.source() {
            share.populate(Share::new(source, request.log())?);
        }
        Arc::pin_init(
            try_pin_init!(Mount {
                id: NEXT.fetch_add(1, Relaxed),
                epoch: get_random_u64(),
                net: request.net_ns().into(),
                peers <- Peers::new(),
                share,
                unfinished <- Unfinished::new(),
                taking_back <- new_delayed_work!("Mount::taking_back"),
                watch <- new_mutex!(None, "hmdfs::Mount::watch"),
                inodes <- new_spinlock!(None, "hmdfs::Mount::inodes"),
                visits <- Visits::new(),
                ahead <- remote::ahead::Batches::new(),
                dependents: merge::Dependents::new()?,
                mounted_at: fs::inode::current_time(),
                made: Instant::now(),
                questions: Atomic::new(0),
                options: options.clone(),
            }? Error),
            GFP_KERNEL,
        )
    }

    fn same_superblock(existing: ArcBorrow<'_, Mount>, proposed: ArcBorrow<'_, Mount>) -> bool {
        *existing.net == *proposed.net
    }

    fn share(existing: &SuperBlock<Self>, proposed: ArcBorrow<'_, Mount>, log: &Log<'_>) -> Result {
        let mount = existing.data();
        let directories = mount.directories();
        let wanted = proposed.options.directories;
        if wanted.is_some_and(|wanted| wanted != directories) {
            log.error(fmt!(
                "hmdfs is mounted with dirs={} already; unmount that first",
                text_of(directories)
            ));
            return Err(EBUSY);
        }
        let Some(share) = proposed.share.as_ref() else {
            return Ok(());
        };
        match mount.share() {
            Some(known) if known.root.is_same(&share.root) => Ok(()),
            Some(known) => {
                log.error(fmt!(
                    "this network namespace exports '{}' already; unmount that first",
                    known.source()
                ));
                Err(EBUSY)
            }
            None if stack_depth(Some(share)) > existing.stack_depth() => {
                log.error(fmt!(
                    "a directory of a stacked file system has to be exported before directories of other devices are mounted; unmount those first"
                ));
                Err(EBUSY)
            }
            None => {
                mount.export(existing, share)?;
                mount.peers.bump();
                Ok(())
            }
        }
    }

    fn fill_super(sb: &SuperBlock<Self>, log: &Log<'_>) -> Result<InodeRef> {
        let mount = sb.data();
        sb.set_stack_depth(stack_depth(mount.share()))
            .inspect_err(|_| {
                log.error(fmt!("too many file systems are stacked on each other"));
            })?;
        sb.set_default_d_op::<DentryOps>();
        sb.setup_bdi(READAHEAD)?;
        *mount.inodes.lock() = Some(sb.inodes());
        if let Some(share) = mount.share.as_ref() {
            mount.export(sb, share)?;
        }
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
        *mount.inodes.lock() = None;
        mount.visits.wait();
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
        mount.unfinished.end(mount);
        if let Some(share) = mount.share() {
            share.export.leases().flush();
        }
        control::notify::mount(&mount, false);
    }

    fn lower_names_changed(mount: ArcBorrow<'_, Mount>, ino: u64) {
        merge::local_changed(&mount, ino);
    }

    fn lower_changed(mount: ArcBorrow<'_, Mount>, ino: u64, is_there: bool) {
        if let Some(share) = mount.share() {
            share.export.leases().changed(ino, is_there);
        }
    }

    fn lower_opened(mount: ArcBorrow<'_, Mount>, ino: u64) {
        if let Some(share) = mount.share() {
            share.export.leases().program_opens(ino);
        }
    }

    fn lower_unlinked(mount: ArcBorrow<'_, Mount>, file: &Unlinked<'_>) {
        if let Some(share) = mount.share() {
            share.export.unlinked(file);
        }
    }

    fn umount_begin(mount: ArcBorrow<'_, Mount>) {
        mount.peers.abort();
    }

    fn sync_fs(mount: ArcBorrow<'_, Mount>) -> Result {
        // Both are tried, whatever happens to the other.
        let remote = remote::write::sync(&mount);
        if let Some(share) = mount.share() {
            share.root.sync_filesystem()?;
        }
        remote
    }

    fn getxattr(inode: &Inode, name: &CStr, value: &mut [u8]) -> Result<usize> {
        match inode.data() {
            Node::Remote(_) => extended::getxattr(inode, name, value),
            Node::Merge(_) => merge::getxattr(inode, name, value),
            _ => Err(EOPNOTSUPP.into()),
        }
    }

    fn setxattr(inode: &Inode, name: &CStr, value: Option<&[u8]>, mode: XattrMode) -> Result {
        match inode.data() {
            Node::Remote(node) => extended::setxattr(inode, node, name, value, mode),
            Node::Merge(_) => merge::setxattr(inode, name, value, mode),
            _ => Err(EOPNOTSUPP.into()),
        }
    }

    fn statfs(inode: &Inode) -> Result<StatFs> {
        match inode.data() {
            Node::Remote(node) => remote::statfs::statfs(node),
            Node::Merge(_) => merge::statfs(inode),
            _ => match inode.super_block().data().share() {
                Some(share) => share.root.statfs(),
                None => Ok(StatFs {
                    block_size: 4096,
                    name_max: 255,
                    ..StatFs::default()
                }),
            },
        }
    }

    fn show_options(mount: ArcBorrow<'_, Mount>, seq: &SeqFile) {
        mount.options.show(seq);
    }
}
