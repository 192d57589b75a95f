//! Planning of a change: from a requested change of a slot to an event, or to the reason why it cannot be made.

mod approval;
mod error;
mod items_taken;
mod rename;
mod start;

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    event::{Availability, Body},
    items::ItemTable,
    learning_file::{LearningFile, LearningImport},
    ownership::{ArmDraft, keep_operations},
    patch::Patch,
    slot_state::{AVAILABILITY, SlotState, upsert_arms},
    state::State,
};
pub(super) use approval::{change_names, check_approval};
pub use error::ChangeError;
pub(super) use items_taken::check_slots;
use items_taken::{arms_of, check_items_taken, check_own_arms};
use rename::plan_rename;
pub use start::{StartFrom, plan_start};
use start::{check_start, plan_learning};

use crate::bandit::Learner;
use crate::slot::{
    Arm, ArmId, Baseline, ChangeReason, Controls, Definition, FieldError, SlotId,
    limits::{LEARNED_ARMS_MAX, MODELS_MAX, REVISIONS_MAX, SLOTS_MAX},
    shorten, suggestion,
};

/// Requested change of a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Create a slot.
    Create(Definition),
    /// Create a slot that starts from what another slot has learned.
    CreateFrom(Definition, StartFrom),
    /// Replace a definition.
    Update {
        /// The new definition. Its id names the slot.
        definition: Definition,
        /// Revision that the definition was derived from, or 0 to replace any.
        revision: u64,
    },
    /// Delete a slot.
    Delete,
    /// Give a slot another id.
    Rename(SlotId),
    /// Add or replace arms.
    UpsertArms(Vec<Arm>),
    /// Add arms, or change those fields of arms that their drafts name.
    MergeArms(Vec<ArmDraft>),
    /// Remove arms.
    RemoveArms(Vec<ArmId>),
    /// Set the availability of arms.
    SetAvailability(Vec<(ArmId, Availability)>),
    /// Return to a revision. Fields that operations own stay as they are.
    Rollback(u64),
    /// Show everybody the baseline, or stop doing so.
    SetSafeChoice(bool),
    /// Forget everything that was learned.
    Reset,
    /// Forget what was learned of one arm.
    ResetArm(ArmId),
    /// Start from what a slot had learned, from a file, with this weight of each observation.
    ImportLearning(Arc<LearningFile>, f64),
}

/// Returns the event that makes `change`, or `None` if the slot is already so. A change that a second person must approve
/// is refused.
pub fn plan(state: &State, slot: &SlotId, change: Change, why: &ChangeReason) -> Result<Option<Body>, ChangeError> {
    let planned = plan_unapproved(state, slot, change, why)?;
    if let Some(body) = &planned {
        check_approval(state, slot, body, why)?;
    }
    Ok(planned)
}

/// Returns the event that makes `change`, or `None` if the slot is already so, whether or not it needs approval.
pub fn plan_unapproved(
    state: &State,
    slot: &SlotId,
    change: Change,
    why: &ChangeReason,
) -> Result<Option<Body>, ChangeError> {
    why.check()?;
    let why = why.clone();
    if let Change::CreateFrom(definition, from) = &change {
        check_start(state, definition, from)?;
    }
    if let Change::Create(definition) | Change::CreateFrom(definition, _) = change {
        return plan_creation(state, slot, definition, why).map(Some);
    }
    let Some(now) = state.slot(slot.as_str()) else {
        let suggestion = suggestion(slot.as_str(), state.slots().map(|(id, _)| id.as_str()));
        return Err(ChangeError::NotFound { slot: slot.clone(), suggestion });
    };
    let (slot, items) = (slot.clone(), state.items());
    match change {
        Change::Create(_) | Change::CreateFrom(..) => Ok(None),
        Change::Update { definition, revision } => plan_update(now, items, definition, revision, why),
        Change::Delete => Ok(Some(Body::SlotDeleted { slot, why })),
        Change::Rename(to) => plan_rename(state, now, to, why).map(Some),
        Change::UpsertArms(arms) => plan_upsert(now, items, arms.into_iter().map(ArmDraft::from).collect(), why),
        Change::MergeArms(arms) => plan_upsert(now, items, arms, why),
        Change::RemoveArms(arms) => plan_removal(now, items, arms, why).map(Some),
        Change::SetAvailability(available) => Ok(plan_availability(now, slot, available, why)?),
        Change::Rollback(number) => plan_rollback(now, items, number, why),
        Change::SetSafeChoice(on) => Ok(plan_safe_choice(now.definition(), on, why)),
        Change::Reset => Ok(Some(Body::SlotReset { slot, why })),
        Change::ResetArm(arm) => {
            if now.design.arms.learned(arm.as_str()).is_none() {
                check_arm(now.definition(), "arm_id".to_owned(), &arm)?;
            }
            Ok(Some(Body::ArmReset { slot, arm, why }))
        }
        Change::ImportLearning(file, weight) => {
            plan_learning(now, LearningImport { slot, file, weight, why }).map(Some)
        }
    }
}

fn plan_creation(
    state: &State,
    slot: &SlotId,
    mut definition: Definition,
    why: ChangeReason,
) -> Result<Body, ChangeError> {
    if state.slot(slot.as_str()).is_some() {
        return Err(ChangeError::Exists(slot.clone()));
    }
    if state.slots().count() >= SLOTS_MAX {
        return Err(ChangeError::Full(format!("there are {SLOTS_MAX} slots; delete one first")));
    }
    let checked = definition.check().and_then(|()| definition.check_ceilings());
    let checked =
        checked.and_then(|()| check_items_taken(None, &definition, &arms_of(None, state.items(), &definition)?));
    checked.map_err(|e| e.within("slot"))?;
    definition.controls.holdout.get_or_insert(Controls::HOLDOUT_NEW);
    definition.default_floor = true;
    Ok(Body::SlotCreated { definition: Arc::new(definition), why })
}

fn plan_update(
    now: &SlotState,
    items: &ItemTable,
    mut definition: Definition,
    revision: u64,
    why: ChangeReason,
) -> Result<Option<Body>, ChangeError> {
    let have = now.definition();
    // A definition that omits the holdout keeps it.
    definition.controls.holdout = definition.controls.holdout.or(have.controls.holdout);
    definition.default_floor = have.default_floor;
    if revision != 0 && revision != now.revision_number() && !only_stock_since(now, revision, &definition) {
        return Err(stale(now, have.id.clone(), revision));
    }
    let arms = check(now, items, &definition).and_then(|arms| definition.check_ceilings().map(|()| arms));
    let arms = arms.map_err(|e| e.within("slot"))?;
    check_models(now.learner(), &definition, arms.len())?;
    check_learned(now.design.arms.names(), &arms)?;
    Ok(patched(have, &definition, why, None))
}

/// Checks that the slot has an arm that a field names.
fn check_arm(definition: &Definition, field: String, arm: &ArmId) -> Result<(), FieldError> {
    if definition.arms.iter().any(|a| a.id == *arm) {
        return Ok(());
    }
    let near = suggestion(arm.as_str(), definition.arms.iter().map(|a| a.id.as_str()));
    Err(FieldError::new(field, format!("the slot '{}' has no arm '{}'{near}", definition.id, shorten(arm.as_str()))))
}

fn plan_removal(now: &SlotState, items: &ItemTable, arms: Vec<ArmId>, why: ChangeReason) -> Result<Body, ChangeError> {
    let have = now.definition();
    check_own_arms(have, "arm_ids", "RemoveItems")?;
    for (i, arm) in arms.iter().enumerate() {
        check_arm(have, format!("arm_ids[{i}]"), arm)?;
        if have.default_arm.as_ref() == Some(arm) {
            let message =
                format!("'{}' is the slot's default arm; set another default_arm_id first", shorten(arm.as_str()));
            return Err(FieldError::new(format!("arm_ids[{i}]"), message).into());
        }
    }
    for (i, arm) in arms.iter().enumerate() {
        let named = if *have.controls.baseline() == Baseline::Arm(arm.clone()) {
            "the slot's baseline; set another controls.baseline first"
        } else if have.controls.arm_bounds.contains_key(arm) && !have.open_catalogue {
            "one of controls.arm_bounds; take it out there first"
        } else {
            continue;
        };
        return Err(FieldError::new(format!("arm_ids[{i}]"), format!("'{}' is {named}", shorten(arm.as_str()))).into());
    }
    let gone: HashSet<&ArmId> = arms.iter().collect();
    let mut after = (**have).clone();
    after.arms.retain(|arm| !gone.contains(&arm.id));
    let left = check(now, items, &after)?.len();
    check_models(now.learner(), &after, left)?;
    Ok(Body::ArmsRemoved { slot: have.id.clone(), arms, why })
}

fn plan_availability(
    now: &SlotState,
    slot: SlotId,
    available: Vec<(ArmId, Availability)>,
    why: ChangeReason,
) -> Result<Option<Body>, FieldError> {
    let have = now.definition();
    check_own_arms(have, "available", "SetItemAvailability")?;
    let arms: HashMap<&ArmId, &Arm> = have.arms.iter().map(|arm| (&arm.id, arm.as_ref())).collect();
    for (arm, wanted) in &available {
        let field = format!("available[{:?}]", arm.as_str());
        if !arms.contains_key(arm) {
            check_arm(have, field, arm)?;
        } else if let Some(schedule) = &wanted.schedule {
            schedule.check().map_err(|e| e.within(&field))?;
        }
    }
    // An arm that is named twice gets its last entry.
    let last: HashMap<ArmId, Availability> = available.iter().cloned().collect();
    let differs = |id: &ArmId| arms.get(id).zip(last.get(id)).is_some_and(|(arm, to)| to.changes(arm));
    let available: Vec<_> = available.into_iter().filter(|(id, to)| differs(id) && last.get(id) == Some(to)).collect();
    Ok((!available.is_empty()).then_some(Body::AvailabilitySet { slot, available, why }))
}

fn plan_rollback(
    now: &SlotState,
    items: &ItemTable,
    number: u64,
    why: ChangeReason,
) -> Result<Option<Body>, ChangeError> {
    let Some(revision) = now.revision(number) else {
        let current = now.revision_number();
        let message = format!("{number} is not kept; the slot is at {current} and keeps its last {REVISIONS_MAX}");
        return Err(FieldError::new("revision", message).into());
    };
    let definition = keep_operations(&revision.definition, now.definition());
    let arms = check(now, items, &definition)?;
    check_models(now.learner(), &definition, arms.len())?;
    check_learned(now.design.arms.names(), &arms)?;
    Ok(patched(now.definition(), &definition, why, Some(number)))
}

fn plan_safe_choice(have: &Definition, on: bool, why: ChangeReason) -> Option<Body> {
    if have.controls.safe_choice() == on {
        return None;
    }
    let mut definition = have.clone();
    definition.controls.safe_choice = on.then_some(true);
    patched(have, &definition, why, None)
}

/// Returns the event that turns `have` into `wanted`, or `None` if they are equal.
fn patched(have: &Definition, wanted: &Definition, why: ChangeReason, rolled_back_to: Option<u64>) -> Option<Body> {
    let patch = Patch::between(have, wanted);
    (!patch.changes_nothing(have)).then(|| Body::SlotPatched { patch: Box::new(patch), why, rolled_back_to })
}

/// Checks a definition that was derived from the slot's. Arms that both share were checked before. Returns the arms that the
/// slot would have beside these items.
fn check<'a>(now: &'a SlotState, items: &ItemTable, wanted: &'a Definition) -> Result<Cow<'a, [Arc<Arm>]>, FieldError> {
    let have = &now.definition().arms;
    let known: HashSet<*const Arm> = have.iter().map(Arc::as_ptr).collect();
    let bytes = wanted.arms_bytes_since(have, now.design.arms_bytes);
    wanted.check_changed(|arm| known.contains(&Arc::as_ptr(arm)), bytes)?;
    let arms = arms_of(Some(now), items, wanted)?;
    check_items_taken(Some(now), wanted, &arms)?;
    Ok(arms)
}

/// Returns the event that adds or replaces arms, or `None` if no arm changes. The event omits unchanged arms.
fn plan_upsert(
    now: &SlotState,
    items: &ItemTable,
    drafts: Vec<ArmDraft>,
    why: ChangeReason,
) -> Result<Option<Body>, ChangeError> {
    let have = now.definition();
    check_own_arms(have, "arms", "UpsertItems")?;
    let known: HashMap<&ArmId, &Arc<Arm>> = have.arms.iter().map(|arm| (&arm.id, arm)).collect();
    let mut seen = HashSet::new();
    for (i, ArmDraft { arm, .. }) in drafts.iter().enumerate() {
        if !seen.insert(&arm.id) {
            let message = format!("'{}' stands in the request twice", shorten(arm.id.as_str()));
            return Err(FieldError::new(format!("arms[{i}].arm_id"), message).into());
        }
        arm.check().map_err(|e| e.within(&format!("arms[{i}]")))?;
    }
    let whole = |draft: ArmDraft| {
        let have = known.get(&draft.arm.id).map(AsRef::as_ref);
        let arm = draft.onto(have);
        (have != Some(&arm)).then(|| Arc::new(arm))
    };
    let arms: Vec<Arc<Arm>> = drafts.into_iter().filter_map(whole).collect();
    if arms.is_empty() {
        return Ok(None);
    }
    let mut after = (**have).clone();
    upsert_arms(&mut after.arms, &arms);
    let all = check(now, items, &after)?;
    check_models(now.learner(), &after, all.len())?;
    check_learned(now.design.arms.names(), &all)?;
    Ok(Some(Body::ArmsUpserted { slot: have.id.clone(), arms, why }))
}

/// Returns `true` if a change to `wanted` that was derived from revision `given` reverts nothing. That is so if only
/// the availability of arms changed since, as it does all day, and `wanted` has the same availability.
fn only_stock_since(now: &SlotState, given: u64, wanted: &Definition) -> bool {
    let kept = now.revisions();
    let known = given <= now.revision_number() && kept.first().is_some_and(|first| first.number <= given);
    if !known || kept.iter().any(|revision| revision.number > given && revision.change != AVAILABILITY) {
        return false;
    }
    let have: HashMap<&ArmId, &Arc<Arm>> = now.definition().arms.iter().map(|arm| (&arm.id, arm)).collect();
    let stock = |arm: &Arm| (arm.available, arm.because, arm.schedule);
    wanted.arms.iter().all(|arm| have.get(&arm.id).is_none_or(|have| stock(have) == stock(arm)))
}

/// Returns the error for a change that was derived from another revision, with the author of the last change.
fn stale(now: &SlotState, slot: SlotId, given: u64) -> ChangeError {
    let current = now.revision_number();
    let last = now.revision(current);
    let (change, at_us) = last.map_or((String::new(), 0), |last| (last.change.clone(), last.at_us));
    let why = last.map(|last| last.why.clone()).unwrap_or_default();
    ChangeError::Stale { slot, given, current, change, at_us, why: Box::new(why) }
}

/// Checks the number of arms that were ever learned, of which `names` are the ids so far. Removed arms count, because the
/// slot keeps what it learned of them.
fn check_learned(names: &[ArmId], arms: &[Arc<Arm>]) -> Result<(), FieldError> {
    let known: HashSet<&ArmId> = names.iter().collect();
    check_learned_count(names.len(), arms.iter().filter(|arm| !known.contains(&arm.id)).count())
}

/// Checks the number of arms that were ever learned, if this many are new.
fn check_learned_count(known: usize, fresh: usize) -> Result<(), FieldError> {
    let all = known + fresh;
    if fresh == 0 || all <= LEARNED_ARMS_MAX {
        return Ok(());
    }
    let message = format!(
        "would make {all} arms that the slot has ever learned of, and at most {LEARNED_ARMS_MAX} are kept; reset the slot, or make a new one"
    );
    Err(FieldError::new("arms", message))
}

/// Checks the number of models. Another definition may need other models, and so may another number of arms, if it
/// makes the slot a large catalogue or ends that.
fn check_models(learner: &Learner, wanted: &Definition, arms: usize) -> Result<(), FieldError> {
    let models = learner.models_with(&wanted.model, wanted.traits(arms));
    if models <= MODELS_MAX {
        return Ok(());
    }
    Err(FieldError::new(
        "slot.model",
        format!(
            "would make {models} models, and at most {MODELS_MAX} learn side by side; go back to one it had, or make a new slot"
        ),
    ))
}
