//! STUB
use kernel::prelude::*;
use hmdfs_kapi::{fs::SuperBlock, vfs};
use crate::{mount::Hmdfs,node::{Dentry,InodeRef}};
pub(crate) struct Node;
impl Node { pub(crate) fn is(&self,_p:&vfs::Path)->bool{false} }
#[derive(Clone,Copy,PartialEq,Eq)]
pub(crate) struct Key;
impl Key { pub(crate) fn hash(&self)->u64{0} }
pub(crate) fn iget(_sb:&SuperBlock<Hmdfs>,_p:vfs::Path)->Result<InodeRef>{Err(EIO)}
pub(crate) fn attributes(_p:&vfs::Path)->Result<hmdfs_kapi::fs::inode::Attributes>{Ok(Default::default())}
pub(crate) fn revalidate(_n:&Node,_name:&[u8],_d:&Dentry)->Result<bool>{Ok(true)}
