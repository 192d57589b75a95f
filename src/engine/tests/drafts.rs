//! Tests of drafts in the fold: they survive a snapshot, and a slot without one writes nothing of them.

use super::*;
use crate::{
    engine::{ChangeError, Draft, DraftRequest, DraftState, plan_draft},
    slot::{Actor, Approval, limits::DRAFTS_MAX},
};

fn by(principal: &str) -> ChangeReason {
    let actor = Actor { principal: principal.into(), ..Actor::default() };
    ChangeReason { actor, ..ChangeReason::new(principal, "why not") }
}

impl StateHarness {
    fn step(&mut self, principal: &str, request: DraftRequest) -> Result<(), ChangeError> {
        for body in plan_draft(&self.state, self.at_us, &slot_id(), request, &by(principal))? {
            self.apply(body);
        }
        Ok(())
    }

    fn floor_change(&self, floor: f64) -> Change {
        let mut definition = (**self.state.slot("offers").unwrap().definition()).clone();
        definition.controls.floor = Some(floor);
        Change::Update { definition, revision: 0 }
    }

    fn draft_floor(&mut self, floor: f64) {
        let change = self.floor_change(floor);
        self.step("ann", DraftRequest::Create { encoded: vec![7], change, expires_us: None }).unwrap();
    }

    fn draft(&self, number: u64) -> Draft {
        let view = self.state.slot("offers").unwrap().view();
        view.drafts.iter().find(|draft| draft.number == number).unwrap().clone()
    }
}

#[test]
fn drafts_are_part_of_the_fold_and_a_slot_without_one_writes_none() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let plain = snapshot::encode(&world.state).unwrap();
    let word = b"drafts";
    assert!(!plain.windows(word.len()).any(|part| part == word), "the bytes are those from before drafts");
    world.draft_floor(0.1);
    world.step("bob", DraftRequest::Approve(1)).unwrap();
    let apply_us = world.at_us + 1_000;
    world.step("ann", DraftRequest::Schedule { number: 1, apply_us }).unwrap();
    let bytes = snapshot::encode(&world.state).unwrap();
    let decoded = snapshot::decode(&bytes).unwrap();
    assert!(decoded == world.state);
    assert!(snapshot::encode(&decoded).unwrap() == bytes);
    assert!(!world.draft(1).is_due(world.at_us) && world.draft(1).is_due(apply_us));
    let change = world.floor_change(0.1);
    world.step("cleo", DraftRequest::Apply { number: 1, change }).unwrap();
    assert_eq!(world.draft(1).state(world.at_us), DraftState::Applied);
    assert_eq!(world.state.slot("offers").unwrap().definition().controls.floor, Some(0.1));
    assert!(world.draft(1).content.change.is_empty());
}

#[test]
fn drafts_that_ended_make_way_for_new_ones_and_those_that_wait_stay() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    world.draft_floor(0.1);
    for number in 2..=DRAFTS_MAX as u64 + 5 {
        world.draft_floor(0.2);
        world.step("ann", DraftRequest::Discard(number)).unwrap();
    }
    let drafts = world.state.slot("offers").unwrap().view().drafts;
    assert_eq!(drafts.len(), DRAFTS_MAX);
    assert_eq!((drafts[0].number, drafts[1].number), (1, 7), "the oldest that ended left");
    assert_eq!(drafts[0].state(world.at_us), DraftState::Open);
}

#[test]
fn a_change_that_needs_approval_is_refused_and_a_reset_makes_drafts_stale() {
    let mut definition = definition(&["a", "b"]);
    definition.controls.approval = Some(Approval { changes: vec!["goal".into()], draft_lifetime_us: None });
    let mut world = StateHarness { state: State::default(), at_us: 1, count: 0, events: Vec::new() };
    let refused = world.change(Change::Create(definition.clone())).unwrap_err();
    assert!(refused.to_string().contains("without a key"), "{refused}");
    let created = plan(&world.state, &slot_id(), Change::Create(definition), &by("ann")).unwrap();
    world.apply(created.unwrap());
    let mut other = (**world.state.slot("offers").unwrap().definition()).clone();
    other.goal.kinds[0].weight = 9.0;
    let refused = world.change(Change::Update { definition: other, revision: 0 }).unwrap_err();
    assert!(refused.to_string().contains("changes of goal"), "{refused}");
    world.draft_floor(0.3);
    world.change(Change::SetSafeChoice(true)).unwrap();
    assert_eq!(world.draft(1).state(world.at_us), DraftState::Open, "operations may act");
    world.change(Change::Reset).unwrap();
    assert_eq!(world.draft(1).stale_since, Some(3));
    assert_eq!(world.draft(1).state(i64::MAX), DraftState::Stale);
}
