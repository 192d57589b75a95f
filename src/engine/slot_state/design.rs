//! Design of a slot: its definition with the revisions that led to it, its arms by id, and its compiled rules.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    bandit::SlotTraits,
    engine::{
        arm_table::{self, ArmTable},
        items::{ChangedItem, ItemTable},
    },
    slot::{
        Arm, ArmId, ChangeReason, Definition, ItemFilter, Revision, RuleBook, SlotId,
        limits::{REVISIONS_BYTES_MAX, REVISIONS_MAX},
    },
};

/// Kind of change that sets the availability of arms.
pub(in crate::engine) const AVAILABILITY: &str = "availability";

/// Definition of a slot with its revisions. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct SlotDesign {
    /// Number of the current revision.
    pub(in crate::engine) revision: u64,
    /// Bytes that the definition's arms take. Not persisted: it follows from the definition.
    #[serde(skip)]
    pub(in crate::engine) arms_bytes: usize,
    /// Definition of the newest revision.
    #[serde(skip, default = "empty_definition")]
    pub(in crate::engine) definition: Arc<Definition>,
    /// Revisions that are kept, oldest first.
    #[serde(with = "super::revisions")]
    pub(in crate::engine) revisions: Arc<Vec<Revision>>,
    /// Arms by id. Persisted by name only: the rest follows from the definition and the items.
    #[serde(with = "arm_table::names")]
    pub(in crate::engine) arms: Arc<ArmTable>,
    /// The definition's rules, compiled.
    #[serde(skip)]
    pub(in crate::engine) rules: Arc<RuleBook>,
    /// Ids that the slot had before it was renamed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::engine) former_ids: Vec<SlotId>,
    /// Compiled filter of a definition that takes its arms from the item catalogue.
    #[serde(skip)]
    pub(in crate::engine) filter: Option<Arc<ItemFilter>>,
    /// Items that the filter takes, by id. Without a filter, arms of the definition joined with their items, or `None` if no
    /// item changes an arm. Not persisted: they follow from the definition and the items.
    #[serde(skip)]
    pub(in crate::engine) joined_arms: Option<Arc<[Arc<Arm>]>>,
}

/// Returns a placeholder until the definition is restored from the revisions.
fn empty_definition() -> Arc<Definition> {
    Arc::new(Definition::empty())
}

impl SlotDesign {
    /// Creates a design without revisions beside these items, to be [revised](Self::revise) before it is used.
    pub(in crate::engine) fn new(definition: &Arc<Definition>, items: &ItemTable) -> Self {
        let mut design = Self {
            revision: 0,
            arms_bytes: definition.arms_bytes(),
            definition: Arc::clone(definition),
            revisions: Arc::default(),
            arms: Arc::default(),
            rules: Arc::default(),
            former_ids: Vec::new(),
            filter: None,
            joined_arms: None,
        };
        design.derive_arms(items);
        design
    }

    /// Gives the definition and its revisions another id. Returns the one before.
    pub(in crate::engine) fn rename(&mut self, to: &SlotId) -> SlotId {
        let renamed = |definition: &Definition| Arc::new(Definition { id: to.clone(), ..definition.clone() });
        for revision in Arc::make_mut(&mut self.revisions) {
            revision.definition = renamed(&revision.definition);
        }
        let from = self.definition.id.clone();
        let newest = self.revisions.last().map(|newest| Arc::clone(&newest.definition));
        self.definition = newest.unwrap_or_else(|| renamed(&self.definition));
        self.former_ids.push(from.clone());
        from
    }

    /// Makes a new revision of the definition, and returns the definition before. [Derive](Self::derive_arms) its arms next.
    pub(in crate::engine) fn revise(
        &mut self,
        at_us: i64,
        mut definition: Arc<Definition>,
        why: &ChangeReason,
        change: String,
    ) -> Arc<Definition> {
        self.revision += 1;
        let before = (!self.revisions.is_empty()).then_some(&*self.definition);
        let mut own_bytes = share_arms(before, &mut definition);
        self.arms_bytes = definition.arms_bytes_since(&self.definition.arms, self.arms_bytes);
        let revisions = Arc::make_mut(&mut self.revisions);
        // A stock feed must not push out changes that people made. Of its revisions in a row only the last one stays,
        // unless the reason or the author differs.
        let same = |last: &Revision| last.change == AVAILABILITY && last.why.says_the_same_as(why);
        if change == AVAILABILITY && revisions.last().is_some_and(same) {
            revisions.pop();
            own_bytes = share_arms(revisions.last().map(|last| &*last.definition), &mut definition);
        }
        revisions.push(Revision {
            number: self.revision,
            at_us,
            why: why.clone(),
            change,
            definition: Arc::clone(&definition),
            own_bytes,
        });
        let mut bytes: u64 = revisions.iter().map(|revision| revision.own_bytes).sum();
        while revisions.len() > REVISIONS_MAX || (revisions.len() > 1 && bytes > REVISIONS_BYTES_MAX) {
            bytes -= revisions.remove(0).own_bytes;
        }
        std::mem::replace(&mut self.definition, definition)
    }

    /// Compiles the rules of the present definition.
    pub(in crate::engine) fn compile_rules(&mut self) {
        self.rules = Arc::new(self.rules.renewed(&self.definition.rules, self.arms_in_effect()));
    }

    /// Derives the arms from the definition and the items: joins its arms with their items, or takes items by its filter. Items
    /// that a filter took before are not looked at again.
    pub(in crate::engine) fn derive_arms(&mut self, items: &ItemTable) {
        let wanted = &self.definition.from_catalogue;
        if !self.definition.takes_items() {
            self.filter = None;
            self.joined_arms = items.join_all(&self.definition.arms);
        } else if self.filter.as_ref().is_none_or(|filter| filter.text() != wanted) {
            // A definition has passed its check, so that its filter compiles.
            self.filter = ItemFilter::parse("from_catalogue", wanted).ok().map(Arc::new);
            self.joined_arms = Some(self.filter.iter().flat_map(|filter| items.taken_by(filter)).collect());
        }
        self.index_arms();
    }

    /// Renews the arms after a change of items. Returns `false` if it concerns none of them.
    pub(in crate::engine) fn change_items(&mut self, items: &ItemTable, changed: &[ChangedItem]) -> bool {
        if self.filter.is_none() {
            let concerned = changed.iter().any(|changed| self.arms.position(changed.id.as_str()).is_some());
            if concerned {
                self.joined_arms = items.join_all(&self.definition.arms);
            }
            return concerned;
        }
        let concerned = self.items_of_filter(changed);
        if concerned.is_empty() {
            return false;
        }
        let same_ids = concerned.iter().all(|(id, taken)| taken.is_some() && self.arms.position(id.as_str()).is_some());
        self.joined_arms = Some(merge_items(self.arms_in_effect(), &concerned));
        if !same_ids {
            self.index_arms();
        }
        true
    }

    /// Returns the changed items that concern the arms of the filter, by id: each item that is taken now, and the id alone of
    /// one that was taken before and is not any more. Only items that changed are looked at.
    pub(in crate::engine) fn items_of_filter<'a>(
        &self,
        changed: &'a [ChangedItem],
    ) -> Vec<(&'a ArmId, Option<&'a Arc<Arm>>)> {
        let Some(filter) = self.filter.as_deref() else { return Vec::new() };
        let one = |changed: &'a ChangedItem| {
            let was_taken = self.arms.position(changed.id.as_str()).is_some();
            let is_taken =
                |item: &Arc<Arm>| if changed.is_described_as_before { was_taken } else { filter.matches(item) };
            let taken = changed.item.as_ref().filter(|item| is_taken(item));
            (was_taken || taken.is_some()).then_some((&changed.id, taken))
        };
        changed.iter().filter_map(one).collect()
    }

    /// Gives the arms their indices.
    fn index_arms(&mut self) {
        if !self.arms.is_of(self.arms_in_effect()) {
            self.arms = Arc::new(ArmTable::new(self.arms.names().to_vec(), self.arms_in_effect()));
        }
    }

    /// Traits that the models of the slot depend on.
    pub(in crate::engine) fn traits(&self) -> SlotTraits {
        self.definition.traits(self.arms_in_effect().len())
    }

    /// Arms in the slot's order: items that it takes, or its own, joined with their items.
    pub(in crate::engine) fn arms_in_effect(&self) -> &[Arc<Arm>] {
        self.joined_arms.as_deref().unwrap_or(&self.definition.arms)
    }

    /// Forgets the arms' indices in the learner, until the next [revision](Self::revise).
    pub(in crate::engine) fn forget_arms(&mut self) {
        self.arms = Arc::default();
    }

    /// Restores everything that a snapshot leaves out because it follows from the rest.
    pub(in crate::engine) fn rebuild(&mut self, items: &ItemTable) {
        if let Some(newest) = self.revisions.last() {
            self.definition = Arc::clone(&newest.definition);
        }
        self.arms_bytes = self.definition.arms_bytes();
        self.derive_arms(items);
        self.rules = Arc::new(RuleBook::new(&self.definition.rules, self.arms_in_effect()));
    }

    /// Returns the revision of this number, if it is kept.
    pub(in crate::engine) fn revision(&self, number: u64) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.number == number)
    }
}

/// Returns arms, by id, after these items were taken, and those of the other ids no longer.
fn merge_items(arms: &[Arc<Arm>], concerned: &[(&ArmId, Option<&Arc<Arm>>)]) -> Arc<[Arc<Arm>]> {
    let mut after = Vec::with_capacity(arms.len() + concerned.len());
    let mut rest = arms.iter().peekable();
    for (id, taken) in concerned {
        after.extend(std::iter::from_fn(|| rest.next_if(|arm| arm.id < **id)).map(Arc::clone));
        rest.next_if(|arm| arm.id == **id);
        after.extend(taken.map(Arc::clone));
    }
    after.extend(rest.map(Arc::clone));
    after.into()
}

/// Replaces the arms whose ids are there, and adds the others at the end.
pub(in crate::engine) fn upsert_arms(have: &mut Vec<Arc<Arm>>, arms: &[Arc<Arm>]) {
    let places: HashMap<ArmId, usize> = have.iter().enumerate().map(|(i, arm)| (arm.id.clone(), i)).collect();
    for arm in arms {
        match places.get(&arm.id) {
            Some(&place) => have[place] = Arc::clone(arm),
            None => have.push(Arc::clone(arm)),
        }
    }
}

/// Makes unchanged arms share the memory of those before, and returns the bytes of everything that is new. Arms are
/// compared by value, so the bytes do not depend on how memory is shared.
fn share_arms(before: Option<&Definition>, definition: &mut Arc<Definition>) -> u64 {
    let before = before.map(|before| &before.arms[..]).unwrap_or_default();
    let mut own = definition.settings_bytes();
    let here = |(i, arm): (usize, &Arc<Arm>)| before.get(i).is_some_and(|have| Arc::ptr_eq(have, arm));
    if definition.arms.iter().enumerate().all(here) {
        return own as u64;
    }
    let known: HashMap<&ArmId, &Arc<Arm>> = before.iter().map(|arm| (&arm.id, arm)).collect();
    let mut shared = Vec::new();
    for (i, arm) in definition.arms.iter().enumerate() {
        match known.get(&arm.id) {
            Some(have) if Arc::ptr_eq(have, arm) => {}
            Some(&have) if have == arm => shared.push((i, Arc::clone(have))),
            _ => own = own.saturating_add(arm.bytes()),
        }
    }
    if !shared.is_empty() {
        let definition = Arc::make_mut(definition);
        for (i, arm) in shared {
            definition.arms[i] = arm;
        }
    }
    own as u64
}
