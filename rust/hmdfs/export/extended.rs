// SPDX-License-Identifier: GPL-2.0

//! Extended attributes and access control lists of files, for other devices.
//!
//! There are those of the namespace `user`, and access control lists. What `user`
//! holds is content, which labels protect; the label itself can be read by all that
//! see the file, and changed by none of them.

use hmdfs_kapi::{
    errno::EOPNOTSUPP,
    vfs::{AclType, Path, XattrMode, XATTR_MAX},
};
use hmdfs_proto::{AttributeName, Operation, Outcome, ReplyWriter, SetMode};
use kernel::{error::code::EOVERFLOW, prelude::*};

use super::{compound::Execution, label, names::terminated, Client, Export};

/// Extended attributes of a file, for a client.
struct Extended<'a, C: ?Sized> {
    export: &'a Export,
    client: &'a C,
    path: &'a Path,
}

/// What a name stands for.
enum Kind {
    Label,
    User,
    Acl(AclType),
}

impl Kind {
    fn of(name: &[u8]) -> Option<Self> {
        const LISTS: [AclType; 2] = [AclType::Access, AclType::Default];
        if name == label::LABEL.to_bytes() {
            return Some(Self::Label);
        }
        if name.len() > USER.len() && name.starts_with(USER) {
            return Some(Self::User);
        }
        LISTS
            .into_iter()
            .find(|list| list.name().to_bytes() == name)
            .map(Self::Acl)
    }
}

const USER: &[u8] = b"user.";

impl<C: Client + ?Sized> Extended<'_, C> {
    /// The value of an attribute.
    fn get(&self, name: &AttributeName<'_>) -> Result<KVVec<u8>> {
        match Kind::of(name.as_bytes()).ok_or(EOPNOTSUPP)? {
            Kind::Acl(list) => return self.path.get_acl(list),
            Kind::User => label::check(self.export, self.client, self.path)?,
            Kind::Label => {}
        }
        let name = terminated(name.as_bytes())?;
        let name = CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
        let mut value = KVVec::from_elem(0, XATTR_MAX, GFP_KERNEL)?;
        let length = self.path.getxattr(name, &mut value)?;
        value.truncate(length);
        Ok(value)
    }

    /// Sets an attribute, or removes it.
    fn set(&self, name: &AttributeName<'_>, value: Option<&[u8]>, mode: SetMode) -> Result {
        let kind = Kind::of(name.as_bytes()).ok_or(EOPNOTSUPP)?;
        label::check(self.export, self.client, self.path)?;
        if value.is_some_and(|value| value.len() > XATTR_MAX) {
            return Err(E2BIG);
        }
        match kind {
            Kind::Label => return Err(EPERM),
            Kind::Acl(list) => return self.path.set_acl(list, value),
            Kind::User => {}
        }
        let name = terminated(name.as_bytes())?;
        let name = CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
        let mode = match mode {
            SetMode::Any => XattrMode::Any,
            SetMode::Create => XattrMode::Create,
            SetMode::Replace => XattrMode::Replace,
        };
        match value {
            Some(value) => self.path.setxattr(name, value, mode),
            None => self.path.removexattr(name),
        }
    }

    /// The names of all attributes that the client may read, with a NUL after each.
    fn list(&self) -> Result<KVVec<u8>> {
        let content = label::check(self.export, self.client, self.path).is_ok();
        let all = match self.path.listxattr() {
            Ok(all) => all,
            Err(error) if error == EOPNOTSUPP => KVVec::new(),
            Err(error) => return Err(error),
        };
        let mut names = KVVec::with_capacity(all.len(), GFP_KERNEL)?;
        for name in all.split_inclusive(|&byte| byte == 0) {
            let shown = match name.split_last().and_then(|(_, name)| Kind::of(name)) {
                Some(Kind::Label | Kind::Acl(_)) => true,
                Some(Kind::User) => content,
                None => false,
            };
            if shown {
                names.extend_from_slice(name, GFP_KERNEL)?;
            }
        }
        Ok(names)
    }
}

impl<C: Client + ?Sized> Execution<'_, C> {
    /// Executes an operation on the extended attributes of the current file.
    pub(super) fn extended(
        &mut self,
        operation: &Operation<'_>,
        writer: &mut ReplyWriter<'_>,
    ) -> Result {
        let (client, export) = (self.client, self.export);
        let mut front = core::mem::take(&mut self.value);
        let extended = Extended {
            export,
            client,
            path: &self.current()?.path,
        };
        let bytes;
        let outcome = match operation {
            Operation::GetExtended(name) => {
                bytes = extended.get(name)?;
                Outcome::Value(&bytes)
            }
            Operation::ListExtended => {
                bytes = extended.list()?;
                Outcome::Names(&bytes)
            }
            Operation::SetExtended { name, value, mode } => {
                let value = if front.is_empty() {
                    *value
                } else {
                    front.extend_from_slice(value, GFP_KERNEL)?;
                    &front
                };
                extended.set(name, Some(value), *mode)?;
                Outcome::Done
            }
            Operation::RemoveExtended(name) => {
                extended.set(name, None, SetMode::Any)?;
                Outcome::Done
            }
            _ => return Err(EOPNOTSUPP.into()),
        };
        writer.push(operation, &outcome).map_err(|_| EOVERFLOW)
    }
}
