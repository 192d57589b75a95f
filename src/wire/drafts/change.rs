//! Change of a draft: from a request to the change that it makes of a slot, and to the form in which a draft keeps it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use prost_types::FieldMask;
use tonic::Status;

use crate::{
    engine::{Change, SlotView},
    slot::{AVAILABILITY_CHANGE, Arm, ArmId, ChangeReason, Definition, FieldError, SlotId, changes_between},
    wire::{
        decode::FieldResult,
        decode_slot, encode_slot as encode, error, mask,
        proto::{self, DraftChange, draft_change::Change as Request},
        schema,
        slots::{check_count, parse_slot},
    },
};

/// Request within a draft, with the parts that all requests have.
#[derive(Debug)]
pub(super) struct DraftedRequest {
    pub(super) slot: SlotId,
    pub(super) why: ChangeReason,
    pub(super) request: Request,
}

impl DraftedRequest {
    /// Takes a draft's change apart.
    pub(super) fn read(change: Option<DraftChange>) -> Result<Self, Status> {
        let field = |name: &str, message: &str| error::field(&FieldError::new(name, message));
        let change = change.and_then(|change| change.change);
        let mut request = change
            .ok_or_else(|| field("change", "is missing; give the request of the call that would change the slot"))?;
        let (slot, author, reason, checks) = match &mut request {
            Request::Update(update) => {
                let slot = update.slot.as_ref().map(|slot| slot.slot_id.clone()).unwrap_or_default();
                (slot, &mut update.author, &mut update.reason, update.validate_only)
            }
            Request::UpsertArms(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, of.validate_only),
            Request::RemoveArms(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, of.validate_only),
            Request::Rollback(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, of.validate_only),
            Request::Reset(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, false),
            Request::ResetArm(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, false),
            Request::Rename(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, false),
            Request::Delete(of) => (of.slot_id.clone(), &mut of.author, &mut of.reason, false),
        };
        if checks {
            return Err(field("change.validate_only", "cannot be in a draft, which changes nothing by itself"));
        }
        let why = ChangeReason::new(std::mem::take(author), std::mem::take(reason));
        Ok(Self { slot: parse_slot(&slot)?, why, request })
    }

    /// Returns the request for the slot under the id that it has now, which may be another one than when the draft was made.
    pub(super) fn with_slot(mut self, slot: &SlotId) -> Self {
        let id = match &mut self.request {
            Request::Update(of) => &mut of.slot.get_or_insert_default().slot_id,
            Request::UpsertArms(of) => &mut of.slot_id,
            Request::RemoveArms(of) => &mut of.slot_id,
            Request::Rollback(of) => &mut of.slot_id,
            Request::Reset(of) => &mut of.slot_id,
            Request::ResetArm(of) => &mut of.slot_id,
            Request::Rename(of) => &mut of.slot_id,
            Request::Delete(of) => &mut of.slot_id,
        };
        slot.as_str().clone_into(id);
        Self { slot: slot.clone(), ..self }
    }

    /// Returns `true` if the call that would make the change is one of administrators.
    pub(super) fn needs_admin(&self) -> bool {
        match self.request {
            Request::Reset(_) | Request::ResetArm(_) | Request::Rename(_) | Request::Delete(_) => true,
            Request::Update(_) | Request::UpsertArms(_) | Request::RemoveArms(_) | Request::Rollback(_) => false,
        }
    }

    /// Path of the request within the request for the draft.
    pub(super) fn path(&self) -> &'static str {
        match self.request {
            Request::Update(_) => "change.update",
            Request::UpsertArms(_) => "change.upsert_arms",
            Request::RemoveArms(_) => "change.remove_arms",
            Request::Rollback(_) => "change.rollback",
            Request::Reset(_) => "change.reset",
            Request::ResetArm(_) => "change.reset_arm",
            Request::Rename(_) => "change.rename",
            Request::Delete(_) => "change.delete",
        }
    }

    /// Returns the change that the request makes of a slot as it is now.
    pub(super) fn change(&self, view: &SlotView) -> Result<Change, Status> {
        self.try_change(view).map_err(|why| error::field(&why.within(self.path())))
    }

    fn try_change(&self, view: &SlotView) -> FieldResult<Change> {
        Ok(match self.request.clone() {
            Request::Update(update) => {
                let draft = decode_slot::draft(update.slot)?;
                let mask = update.update_mask.filter(|mask| !mask.paths.is_empty());
                let definition = mask::apply_mask(&view.definition, &draft, mask.as_ref())?;
                let revision = if draft.revision == 0 { view.revision } else { draft.revision };
                Change::Update { definition, revision }
            }
            Request::UpsertArms(of) => {
                check_count("arms", &of.arms)?;
                Change::MergeArms(decode_slot::arms(of.arms)?)
            }
            Request::RemoveArms(of) => {
                check_count("arm_ids", &of.arm_ids)?;
                let arms = of.arm_ids.iter().enumerate().map(|(i, arm)| ArmId::parse(&format!("arm_ids[{i}]"), arm));
                Change::RemoveArms(arms.collect::<FieldResult<_>>()?)
            }
            Request::Rollback(of) => Change::Rollback(of.revision),
            Request::Reset(_) => Change::Reset,
            Request::ResetArm(of) => Change::ResetArm(ArmId::parse("arm_id", &of.arm_id)?),
            Request::Rename(of) => Change::Rename(SlotId::parse("new_slot_id", &of.new_slot_id)?),
            Request::Delete(_) => Change::Delete,
        })
    }

    /// Returns the change in the form in which a draft keeps it. An update keeps the fields that differ and no others, so that
    /// what operations change meanwhile stays.
    pub(super) fn kept(self, view: &SlotView, change: &Change) -> DraftChange {
        let request = match (self.request, change) {
            (Request::Update(update), Change::Update { definition, .. }) => {
                let (slot, mask) = least_update(&view.definition, definition);
                Request::Update(proto::UpdateSlotRequest { slot: Some(slot), update_mask: Some(mask), ..update })
            }
            (request, _) => request,
        };
        DraftChange { change: Some(request) }
    }
}

/// Returns the slot and the mask of the update that turns `current` into `wanted`, with the fields that differ alone.
fn least_update(current: &Definition, wanted: &Definition) -> (proto::Slot, FieldMask) {
    let changes = changes_between(current, wanted);
    let path =
        |change: &str| if ["arms", AVAILABILITY_CHANGE].contains(&change) { "arms.arm_id" } else { change }.to_owned();
    let paths: Vec<String> = changes.iter().map(|change| path(change)).collect();
    let roots: BTreeSet<&str> = paths.iter().filter_map(|path| path.split('.').next()).collect();
    let mut slot = schema::dynamic(&encode::settings(wanted, 0));
    let unnamed: Vec<_> = schema::slot_descriptor()
        .fields()
        .filter(|field| field.name() != "slot_id" && !roots.contains(field.name()))
        .collect();
    for field in unnamed {
        slot.clear_field(&field);
    }
    let mut slot: proto::Slot = slot.transcode_to().unwrap_or_else(|_| encode::settings(wanted, 0));
    if roots.contains("arms") {
        slot.arms = changed_arms(current, wanted);
    }
    (slot, FieldMask { paths })
}

/// Returns the arms of the update that turns `current` into `wanted`, under the mask `arms.arm_id`. Unchanged arms are given
/// by their ids only.
pub(crate) fn changed_arms(current: &Definition, wanted: &Definition) -> Vec<proto::Arm> {
    let known: HashMap<&ArmId, &Arc<Arm>> = current.arms.iter().map(|arm| (&arm.id, arm)).collect();
    let arm = |arm: &Arc<Arm>| match known.get(&arm.id) {
        Some(now) if *now == arm => proto::Arm { arm_id: arm.id.to_string(), ..proto::Arm::default() },
        now => changed_arm(arm, now.map(AsRef::as_ref)),
    };
    wanted.arms.iter().map(arm).collect()
}

/// Returns the message of a changed arm. Fields that operations own are unset if they have the current value.
fn changed_arm(wanted: &Arm, now: Option<&Arm>) -> proto::Arm {
    let mut message = encode::arm(wanted);
    let Some(now) = now else { return message };
    // The service keeps an arm that is given with nothing but its id.
    let bare = wanted.attributes.is_empty() && wanted.payload.is_none();
    if (wanted.available, wanted.because) == (now.available, now.because) && !bare {
        message.available = None;
        message.unavailable_because = proto::UnavailableBecause::Unspecified.into();
    }
    message.schedule = (wanted.schedule != now.schedule).then(|| encode::schedule(wanted.schedule));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(ids: &[&str]) -> Definition {
        let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
        definition.arms = ids.iter().map(|id| Arc::new(Arm::new(ArmId::parse("arm_id", id).unwrap()))).collect();
        definition
    }

    #[test]
    fn an_update_is_kept_with_the_fields_that_differ_alone() {
        let current = definition(&["a", "b"]);
        let mut wanted = definition(&["a", "c"]);
        wanted.controls.floor = Some(0.1);
        let (slot, mask) = least_update(&current, &wanted);
        assert_eq!(mask.paths, ["arms.arm_id", "controls.floor"]);
        assert!(slot.goal.is_none() && slot.model.is_none() && slot.arms.len() == 2, "{slot:?}");
        let draft = decode_slot::draft(Some(slot)).unwrap();
        // Made later, it leaves alone what operations changed meanwhile.
        let mut later = current.clone();
        later.controls.safe_choice = Some(true);
        Arc::make_mut(&mut later.arms[0]).available = false;
        let made = mask::apply_mask(&later, &draft, Some(&mask)).unwrap();
        assert_eq!((made.controls.safe_choice, made.controls.floor), (Some(true), Some(0.1)));
        assert!(!made.arms[0].available && made.arms[1].id.as_str() == "c");
    }

    #[test]
    fn a_request_says_what_is_wrong_with_it() {
        let refused = |change| DraftedRequest::read(change).unwrap_err().message().to_owned();
        assert!(refused(None).starts_with("change:"), "{}", refused(None));
        let empty = Some(DraftChange { change: None });
        assert!(refused(empty).starts_with("change:"));
        let upsert = proto::UpsertArmsRequest { slot_id: "offers".into(), validate_only: true, ..Default::default() };
        let checks = Some(DraftChange { change: Some(Request::UpsertArms(upsert)) });
        assert!(refused(checks).starts_with("change.validate_only"));
    }
}
