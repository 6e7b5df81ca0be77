//! The members of a session.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use crate::server::keys::MemberKey;
use crate::server::member::Member;

/// Found by their keys at once, and gone through in the order of their joining: along that media is forwarded.
#[derive(Debug, Default)]
pub(super) struct Members {
    slab: Slab<Box<Member>>,
    order: Vec<MemberKey>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn get(&self, key: MemberKey) -> Option<&Member> {
        self.slab.get(key.0).map(|member| &**member)
    }

    pub(super) fn get_mut(&mut self, key: MemberKey) -> Option<&mut Member> {
        self.slab.get_mut(key.0).map(|member| &mut **member)
    }

    pub(super) fn insert(&mut self, member: Box<Member>) -> MemberKey {
        let key = MemberKey(self.slab.insert(member));
        self.order.push(key);
        key
    }

    pub(super) fn remove(&mut self, key: MemberKey) -> Option<Box<Member>> {
        let member = self.slab.try_remove(key.0)?;
        self.order.retain(|other| *other != key);
        Some(member)
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = MemberKey> {
        self.order.iter().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.order.iter().filter_map(|key| self.get(*key))
    }

    /// Has something done with each.
    pub(super) fn for_each(&mut self, mut then: impl FnMut(MemberKey, &mut Member)) {
        for key in &self.order {
            if let Some(member) = self.slab.get_mut(key.0) {
                then(*key, member);
            }
        }
    }

    /// Has something done with each but one.
    pub(super) fn for_others(
        &mut self,
        but: MemberKey,
        mut then: impl FnMut(MemberKey, &mut Member),
    ) {
        self.for_each(|key, member| {
            if key != but {
                then(key, member);
            }
        });
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Box<Member>> {
        let order = core::mem::take(&mut self.order).into_iter();
        order.filter_map(|key| self.slab.try_remove(key.0))
    }
}
