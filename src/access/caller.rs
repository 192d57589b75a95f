//! Caller of a call, as far as a key or a token says it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{pattern::SlotPattern, role::Role};

/// Caller that authenticated.
#[derive(Debug)]
pub struct Caller {
    /// Name of the key or subject of the token.
    principal: String,
    roles: BTreeSet<Role>,
    slots: Vec<SlotPattern>,
    /// Time from which the permission ends by itself, microseconds since 1970, or `None` if a key says it.
    until_us: Option<i64>,
    /// `true` once the key or token was revoked or has expired.
    revoked: AtomicBool,
}

impl Caller {
    /// Creates a caller with these roles on the slots that match one of the patterns.
    pub fn new(principal: String, roles: BTreeSet<Role>, slots: Vec<SlotPattern>) -> Self {
        Self { principal, roles, slots, until_us: None, revoked: AtomicBool::new(false) }
    }

    /// Returns the caller with a time from which its permission ends, microseconds since 1970.
    #[must_use]
    pub fn until(self, until_us: i64) -> Self {
        Self { until_us: Some(until_us), ..self }
    }

    /// Returns `true` if the permission has ended by itself.
    pub fn has_ended(&self, now_us: i64) -> bool {
        self.until_us.is_some_and(|until_us| until_us <= now_us)
    }

    /// Name of the key or subject of the token.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Roles of the caller.
    pub fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }

    /// Returns `true` if the caller has the role, or is an administrator.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }

    /// Returns `true` if the caller may reach the slot.
    pub fn reaches(&self, slot: &str) -> bool {
        self.slots.iter().any(|pattern| pattern.matches(slot))
    }

    /// Returns `true` if the caller may reach every slot.
    pub fn reaches_all(&self) -> bool {
        self.slots.iter().any(SlotPattern::is_all)
    }

    /// Ends the caller's permission, also for streams that are open.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
    }

    /// Returns `true` if the caller's permission ended.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }
}
