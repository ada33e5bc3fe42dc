// SPDX-License-Identifier: GPL-2.0

//! The C table of mounting, and its entry points, in the order in which a mount comes to them.
//!
//! C header: [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

use core::marker::PhantomData;

use hmdfs_bindings as bindings;
use kernel::{
    error::{from_err_ptr, from_result},
    prelude::*,
    types::{ForeignOwnable, ScopeGuard},
};

use super::{FileSystem, Log, Parameter, Request};
use crate::{
    fs::{super_block, xattr, SuperBlock},
    vfs::Path,
};

/// What belongs to a context (`fs_private`).
struct Private<F: FileSystem> {
    options: F::Options,
    /// Made by [`Vtable::dup`], to mount all of the tree whatever the source is.
    whole: bool,
}

/// The C entry points of mounting.
pub(super) struct Vtable<F>(PhantomData<F>);

impl<F: FileSystem> Vtable<F> {
    const OPERATIONS: bindings::fs_context_operations = bindings::fs_context_operations {
        free: Some(Self::free),
        dup: Some(Self::dup),
        parse_param: Some(Self::parse_param),
        get_tree: Some(Self::get_tree),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `fc` must be a new context of this file system.
    pub(super) unsafe extern "C" fn init_fs_context(
        fc: *mut kernel::bindings::fs_context,
    ) -> c_int {
        from_result(|| {
            let options = F::options()?;
            let private = KBox::new(
                Private::<F> {
                    options,
                    whole: false,
                },
                GFP_KERNEL,
            )?;
            let fc = fc.cast::<bindings::fs_context>();
            // SAFETY: The caller gives a context that nobody else uses yet.
            unsafe {
                (*fc).fs_private = private.into_foreign();
                (*fc).ops = &Self::OPERATIONS;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `fc` must be a context that `init_fs_context` has seen.
    unsafe extern "C" fn free(fc: *mut bindings::fs_context) {
        // SAFETY: `init_fs_context` or `dup` has set it, if it is not null, and it is not used after
        // this call.
        drop(unsafe { <KBox<Private<F>>>::try_from_foreign((*fc).fs_private) });
        // SAFETY: A proposal that became no superblock is still owned by the context; see
        // `get_tree`.
        drop(unsafe { F::Data::try_from_foreign((*fc).s_fs_info) });
    }

    /// # Safety
    ///
    /// `fc` must be a bitwise copy of `source` without anything of its own yet, which
    /// `init_fs_context` has seen.
    unsafe extern "C" fn dup(
        fc: *mut bindings::fs_context,
        source: *mut bindings::fs_context,
    ) -> c_int {
        from_result(|| {
            // SAFETY: `init_fs_context` has stored it, and nobody changes it meanwhile: only
            // `mount_whole` makes copies, in an operation of the context.
            let private = unsafe { <KBox<Private<F>>>::borrow((*source).fs_private) };
            let private = KBox::new(
                Private::<F> {
                    options: private.options.clone(),
                    whole: true,
                },
                GFP_KERNEL,
            )?;
            // SAFETY: The copy is valid, and nobody else uses it yet.
            unsafe { (*fc).fs_private = private.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `fc` must be a context that `init_fs_context` has seen, `parameter` a valid parameter.
    unsafe extern "C" fn parse_param(
        fc: *mut bindings::fs_context,
        parameter: *mut bindings::fs_parameter,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The options were stored by `init_fs_context`, and the context's mutex
            // serialises its operations.
            let private = unsafe { <KBox<Private<F>>>::borrow_mut((*fc).fs_private) };
            let parameter = Parameter {
                // SAFETY: Valid by the function's contract.
                raw: unsafe { &*parameter },
            };
            let log = Log {
                fc,
                _borrow: PhantomData,
            };
            if F::parse_parameter(&mut private.options, &parameter, &log)? {
                Ok(0)
            } else {
                Err(Error::from_errno(-(bindings::ENOPARAM as i32)))
            }
        })
    }

    /// # Safety
    ///
    /// `fc` must be a context that `init_fs_context` or `dup` has seen.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        from_result(|| {
            // SAFETY: As in `parse_param`.
            let private = unsafe { <KBox<Private<F>>>::borrow((*fc).fs_private) };
            let request = Request {
                // SAFETY: The context is valid, and what is read of it does not change meanwhile.
                fc: unsafe { &*fc },
                log: Log {
                    fc,
                    _borrow: PhantomData,
                },
            };
            if !private.whole {
                if let Some(subtree) = F::subtree(&request)? {
                    // SAFETY: By the function's contract.
                    return unsafe { Self::get_subtree(fc, &subtree, request.log()) };
                }
            }
            let data = F::prepare(&private.options, &request)?;
            // SAFETY: By the function's contract.
            unsafe { Self::get_whole(fc, data) }
        })
    }

    /// Gets or makes the superblock that `data` was prepared for.
    ///
    /// # Safety
    ///
    /// As for [`Self::get_tree`], which this is a part of.
    unsafe fn get_whole(fc: *mut bindings::fs_context, data: F::Data) -> Result<c_int> {
        // SAFETY: The context owns the proposal from here on. If `sget_fc` makes a superblock, that
        // takes it over and sets this to null; otherwise `free` drops it.
        unsafe { (*fc).s_fs_info = data.into_foreign() };
        // SAFETY: The context is valid and the functions are for it.
        let sb = from_err_ptr(unsafe {
            bindings::sget_fc(
                fc.cast(),
                Some(Self::test),
                Some(bindings::set_anon_super_fc),
            )
        })?;
        let log = Log {
            fc,
            _borrow: PhantomData,
        };
        // SAFETY: `sget_fc` gives an active reference with `s_umount` held.
        let result = unsafe { Self::fill(sb, fc, &log) };
        if let Err(error) = result {
            // SAFETY: As above; this gives both back.
            unsafe { bindings::deactivate_locked_super(sb) };
            return Err(error);
        }
        // SAFETY: The superblock has a root now, and the context takes over the active reference
        // together with the reference to the root.
        unsafe { (*fc).root = bindings::dget((*sb).s_root) };
        Ok(0)
    }

    /// Gets a directory of the tree, in the superblock that there is or in a new one.
    ///
    /// # Safety
    ///
    /// As for [`Self::get_tree`], which this is a part of.
    unsafe fn get_subtree(
        fc: *mut bindings::fs_context,
        subtree: &F::Subtree<'_>,
        log: &Log<'_>,
    ) -> Result<c_int> {
        // SAFETY: By the function's contract.
        let whole = unsafe { Self::mount_whole(fc) }?;
        // SAFETY: The superblock is of this file system, and stays as long as `whole`.
        let sb = unsafe { SuperBlock::<F>::from_raw(whole.super_block()) };
        let directory = F::find_subtree(sb.data(), &whole, subtree, log)?;
        if directory.super_block() != sb.as_raw() || !directory.is_dir() {
            return Err(ENOTDIR);
        }
        // SAFETY: As in `get_whole`: the context takes over an active reference, with `s_umount`
        // held, and a reference to the dentry. The mount of `whole` has one of the former still.
        unsafe {
            bindings::get_active_super(sb.as_raw());
            bindings::down_write(&raw mut (*sb.as_raw()).s_umount);
            (*fc).root = bindings::dget(directory.dentry());
        }
        Ok(0)
    }

    /// Mounts all of the tree, but nowhere; what is made is gone with its last path.
    ///
    /// # Safety
    ///
    /// As for [`Self::get_tree`], which this is a part of.
    unsafe fn mount_whole(fc: *mut bindings::fs_context) -> Result<Path> {
        // SAFETY: The context is valid. `get_tree` knows the copy by what `dup` gave it.
        let copy = from_err_ptr(unsafe { bindings::vfs_dup_fs_context(fc) })?;
        let _put = ScopeGuard::new_with_data(copy, |copy| {
            // SAFETY: It was made above, and is not used any more.
            unsafe { bindings::put_fs_context(copy) }
        });
        // What was said of this one mount (`ro`, say) does not hold for all others.
        // SAFETY: Nobody else uses the copy.
        unsafe { (*copy).sb_flags = 0 };
        // SAFETY: The copy is complete; the mount has its own references.
        let mnt = from_err_ptr(unsafe { bindings::fc_mount(copy.cast()) })?;
        // SAFETY: A mount has a root, which is positive.
        let dentry = unsafe { bindings::dget((*mnt).mnt_root) };
        // SAFETY: Both references are ours.
        Ok(unsafe { Path::from_raw(bindings::path { mnt, dentry }) })
    }

    /// # Safety
    ///
    /// `sb` must be an active superblock of this file system with `s_umount` held, that `sget_fc`
    /// has given for `fc`.
    unsafe fn fill(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
        log: &Log<'_>,
    ) -> Result {
        // SAFETY: `s_umount` is held, so `s_root` is stable.
        if !unsafe { (*sb).s_root }.is_null() {
            // SAFETY: An existing superblock has not taken over the context's proposal.
            let proposed = unsafe { F::Data::borrow((*fc).s_fs_info) };
            // SAFETY: The superblock is active and of this file system.
            return F::share(unsafe { SuperBlock::from_raw(sb) }, proposed, log);
        }
        // SAFETY: The superblock is new and ours alone; these are its initial settings.
        unsafe {
            (*sb).s_magic = F::MAGIC as usize;
            (*sb).s_op = &super_block::Vtable::<F>::OPERATIONS;
            (*sb).s_maxbytes = bindings::MAX_LFS_FILESIZE;
            (*sb).s_blocksize = kernel::page::PAGE_SIZE;
            (*sb).s_blocksize_bits = kernel::page::PAGE_SHIFT as u8;
            (*sb).s_time_gran = 1;
            (*sb).s_xattr = xattr::Vtable::<F>::HANDLERS.as_ptr();
            // The umask is applied by who makes a file, because a default access control list
            // of the directory may stand in its place.
            bindings::set_sb_flags(sb, bindings::SB_POSIXACL);
        }
        // SAFETY: The superblock is valid and of this file system.
        let sb_ref = unsafe { SuperBlock::<F>::from_raw(sb) };
        let root = F::fill_super(sb_ref, log)?;
        // SAFETY: `d_make_root` takes over the reference to the inode, also when it fails.
        let root = unsafe { bindings::d_make_root(root.into_raw()) };
        if root.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: `s_umount` is held and the superblock is not in use yet.
        unsafe {
            (*sb).s_root = root;
            bindings::set_sb_flags(sb, bindings::SB_ACTIVE);
        }
        F::mounted(sb_ref.data())
    }

    /// # Safety
    ///
    /// Called by `sget_fc` with a superblock of this file system and a context from `get_tree`.
    unsafe extern "C" fn test(
        sb: *mut bindings::super_block,
        fc: *mut kernel::bindings::fs_context,
    ) -> c_int {
        // SAFETY: `sget_fc` holds `sb_lock` and has seen that the superblock is not dead, and
        // `kill_sb` frees `s_fs_info` only a grace period after it is dead.
        let existing = unsafe { F::Data::borrow((*sb).s_fs_info) };
        let fc = fc.cast::<bindings::fs_context>();
        // SAFETY: `get_tree` has stored the proposal.
        let proposed = unsafe { F::Data::borrow((*fc).s_fs_info) };
        F::same_superblock(existing, proposed).into()
    }

    /// # Safety
    ///
    /// `sb` must be a superblock of this file system that nobody uses any more.
    pub(super) unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The superblock owns this value.
        let data = unsafe { (*sb).s_fs_info };
        // SAFETY: The value is dropped below, after its last use.
        F::unmounting(unsafe { F::Data::borrow(data) });
        // SAFETY: By the function's contract.
        unsafe { bindings::kill_anon_super(sb) };
        // SAFETY: The value is dropped below, after its last use.
        F::unmounted(unsafe { F::Data::borrow(data) });
        // `test` may still look at it, under `sb_lock`.
        // SAFETY: Sleeping is allowed here.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: Nothing refers to it any more.
        drop(unsafe { F::Data::from_foreign(data) });
    }
}
