//! Changes of slots: made, or only said how they would come out.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{ChangeFailure, Writer};
use crate::{
    engine::{Body, Change, ChangeError, Event, SlotView, plan, plan_start, plan_unapproved},
    node::{WriteError, codec, queue::SoloCommand},
    slot::{ChangeReason, FieldError, SlotId},
};

/// Result of a change: the slot as it is now (for a deletion, as it was), or as it would be.
pub(in crate::node) type Changed = Result<Arc<SlotView>, ChangeFailure>;

/// A change of a slot.
#[derive(Debug)]
pub(in crate::node) struct ChangeCommand {
    pub(in crate::node) slot: SlotId,
    pub(in crate::node) change: Change,
    pub(in crate::node) why: ChangeReason,
    pub(in crate::node) validate_only: bool,
    pub(in crate::node) reply: oneshot::Sender<Changed>,
}

/// The slots that a change of several changed, and their revisions, by id.
pub(in crate::node) type ChangedEach = Result<Vec<(SlotId, u64)>, ChangeFailure>;

/// Command to make the same change of one slot, or of every slot if `slot` is `None`.
#[derive(Debug)]
pub(in crate::node) struct ChangeEachCommand {
    pub(in crate::node) slot: Option<SlotId>,
    pub(in crate::node) change: Change,
    pub(in crate::node) why: ChangeReason,
    pub(in crate::node) reply: oneshot::Sender<ChangedEach>,
}

/// A slot as it is, and as it would be after a change.
pub(in crate::node) type Drafted = Result<(Arc<SlotView>, Arc<SlotView>), ChangeFailure>;

/// A change of a slot that is not made.
#[derive(Debug)]
pub(in crate::node) struct DraftCommand {
    pub(in crate::node) slot: SlotId,
    pub(in crate::node) change: Change,
    pub(in crate::node) reply: oneshot::Sender<Drafted>,
}

impl Writer {
    pub(super) fn change(&mut self, command: ChangeCommand) {
        let ChangeCommand { slot, change, why, validate_only, reply } = command;
        let result = self.try_change(&slot, change, &why, validate_only);
        // A caller that no longer waits does not need the answer.
        drop(reply.send(result));
    }

    /// See [`DraftCommand`].
    pub(super) fn answer_draft(&self, command: DraftCommand) {
        let DraftCommand { slot, change, reply } = command;
        // A caller that no longer waits does not need the answer.
        drop(reply.send(self.trial(&slot, change)));
    }

    /// Tells the caller of a command that it could not be written. What needs no room on the disk is done all the same.
    pub(super) fn refuse_single(&self, single: SoloCommand, why: &WriteError) {
        match single {
            SoloCommand::Change(change) => drop(change.reply.send(Err(ChangeFailure::Write(why.clone())))),
            SoloCommand::ChangeEach(change) => drop(change.reply.send(Err(ChangeFailure::Write(why.clone())))),
            SoloCommand::Items(change) => drop(change.reply.send(Err(ChangeFailure::Write(why.clone())))),
            SoloCommand::DraftStep(step) => drop(step.reply.send(Err(ChangeFailure::Write(why.clone())))),
            SoloCommand::Import(import) => drop(import.reply.send(Err(ChangeFailure::Write(why.clone())))),
            SoloCommand::Draft(draft) => self.answer_draft(*draft),
            SoloCommand::Settle(reply) => drop(reply.send(())),
            SoloCommand::Forget(_, reply) => drop(reply.send(Err(why.clone()))),
            SoloCommand::ReadLearning(slot, reply) => drop(reply.send(self.state.learning_of(&slot))),
            SoloCommand::ListForgotten(most, reply) => drop(reply.send(self.list_forgotten(most))),
        }
    }

    fn viewed(&self, slot: &SlotId) -> Option<Arc<SlotView>> {
        self.state.slot(slot.as_str()).map(|state| Arc::new(state.view()))
    }

    /// Event that makes a change, or `None` if it changes nothing.
    fn planned(&self, slot: &SlotId, change: Change, why: &ChangeReason) -> Result<Option<Event>, ChangeFailure> {
        plan(&self.state, slot, change, why)?.map(|body| self.readable(body)).transpose()
    }

    /// Event with this content now, which was read back as it will be written.
    pub(super) fn readable(&self, body: Body) -> Result<Event, ChangeFailure> {
        let event = Event { at_us: self.now_us(), body };
        // The large part of it was read from the very bytes that will be written.
        if let Body::LearningImported(_) = &event.body {
            return Ok(event);
        }
        // A change that cannot be read back must not be written. Changes are rare, so the check costs little.
        if let Err(why) = codec::decode(&codec::encode(&event).body) {
            let message = format!("cannot be stored: {why}");
            return Err(ChangeFailure::Refused(ChangeError::Field(FieldError::new("slot", message))));
        }
        Ok(event)
    }

    /// The slot as it is, and as a change would make it, whether or not the change needs approval.
    fn trial(&self, slot: &SlotId, change: Change) -> Drafted {
        let planned = plan_unapproved(&self.state, slot, change, &ChangeReason::default())?;
        self.with_event(slot, planned.map(|body| self.readable(body)).transpose()?)
    }

    /// The slot as it is (for a new one, as it would be), and as it would be; nothing is changed.
    fn with_event(&self, slot: &SlotId, event: Option<Event>) -> Drafted {
        let before = self.viewed(slot);
        let after = event.and_then(|event| {
            let mut would_be = self.state.only(slot);
            would_be.apply(&event);
            would_be.slot(slot.as_str()).map(|state| Arc::new(state.view()))
        });
        let (before, after) = (before.clone().or_else(|| after.clone()), after.or(before));
        before.zip(after).ok_or(ChangeFailure::Write(WriteError::Stopped))
    }

    pub(super) fn change_each(&mut self, command: ChangeEachCommand) {
        let ChangeEachCommand { slot, change, why, reply } = command;
        let result = self.try_change_each(slot, &change, &why);
        // A caller that no longer waits does not need the answer.
        drop(reply.send(result));
    }

    /// All slots change in one commit, or none does.
    fn try_change_each(&mut self, slot: Option<SlotId>, change: &Change, why: &ChangeReason) -> ChangedEach {
        let slots = slot.map_or_else(|| self.state.slots().map(|(id, _)| id.clone()).collect(), |slot| vec![slot]);
        let mut events = Vec::new();
        for slot in &slots {
            events.extend(self.planned(slot, change.clone(), why)?);
        }
        let at_us = self.now_us();
        for event in &mut events {
            event.at_us = at_us;
        }
        if !events.is_empty() {
            self.write(&events)?;
        }
        let changed = events.iter().filter_map(|event| event.body.slot());
        let revision = |slot: &SlotId| Some((slot.clone(), self.state.slot(slot.as_str())?.revision_number()));
        Ok(changed.filter_map(revision).collect())
    }

    fn try_change(&mut self, slot: &SlotId, change: Change, why: &ChangeReason, validate_only: bool) -> Changed {
        if validate_only {
            return self.with_event(slot, self.planned(slot, change, why)?).map(|(_, after)| after);
        }
        let renamed = if let Change::Rename(to) = &change { Some(to.clone()) } else { None };
        let start = if let Change::CreateFrom(_, from) = &change { Some(plan_start(slot, from, why)) } else { None };
        let mut events = Vec::from_iter(self.planned(slot, change, why)?);
        let started = events.first().and_then(|event| Some(Event { at_us: event.at_us, body: start? }));
        events.extend(started);
        self.write_changes(renamed.as_ref().unwrap_or(slot), &events)
    }

    /// Writes the events of a change, if there are any. Returns the slot as it then is, or as it was before its deletion.
    pub(super) fn write_changes(&mut self, slot: &SlotId, events: &[Event]) -> Changed {
        let before = self.viewed(slot);
        if !events.is_empty() {
            self.write(events)?;
        }
        self.viewed(slot).or(before).ok_or(ChangeFailure::Write(WriteError::Stopped))
    }
}
