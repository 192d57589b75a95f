//! A slot as a learner of a stream: the engine in this process, under the stream's clock.

use std::sync::Arc;

use slotwise::{
    bandit::{Features, ModelSpec},
    engine::{
        Body, Change, DecideOptions, DecisionId, Event, Request, RequestCandidate, RewardEvent, State, Subject, decide,
        hash, plan,
    },
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, Goal, RewardKind, Schedule, SlotId},
};

use super::stream::{Round, Stream, StreamPlayer};

/// Kind of a reward that counts.
const EARNED: &str = "earned";
/// Kind of an event that says that there is no reward.
const NOTHING: &str = "nothing";

/// Settings of a slot that differ from the default ones.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RegimeSlotSettings {
    /// Model, or `None` for the default.
    pub(super) model: Option<ModelSpec>,
    /// Half-life, microseconds, or `None` for the default.
    pub(super) half_life_us: Option<i64>,
    /// Says that a reward of 0 sends no event.
    pub(super) silent_zeros: bool,
}

/// Slot that plays a stream.
#[derive(Debug)]
pub(super) struct SlotPlayer {
    state: State,
    definition: Definition,
    slot: SlotId,
    seed: u64,
    decisions: u64,
    decision: Option<DecisionId>,
    silent_zeros: bool,
}

fn arm(index: usize) -> ArmId {
    ArmId::parse("arm_id", &format!("arm-{index}")).unwrap_or_else(|why| unreachable!("a plain id: {why}"))
}

fn new_arm(index: usize) -> Arc<Arm> {
    Arc::new(Arm {
        id: arm(index),
        attributes: Features::new(),
        available: true,
        payload: None,
        because: None,
        schedule: Schedule::default(),
    })
}

impl SlotPlayer {
    /// Creates a slot for a stream.
    pub(super) fn new(stream: &Stream, settings: RegimeSlotSettings, seed: u64) -> Self {
        let slot = SlotId::parse("slot_id", "regime").unwrap_or_else(|why| unreachable!("a plain id: {why}"));
        let earned = RewardKind {
            kind: EARNED.to_owned(),
            weight: 1.0,
            use_value: stream.money,
            cap: (!stream.money).then_some(1.0),
            winsorize: stream.winsorize,
            role: None,
            joins: None,
        };
        let nothing = RewardKind {
            kind: NOTHING.to_owned(),
            weight: 0.0,
            use_value: false,
            cap: None,
            winsorize: None,
            role: None,
            joins: None,
        };
        let arms = stream.rounds.first().map_or(0, |round| round.expected.len());
        let definition = Definition {
            arms: (0..arms).map(new_arm).collect(),
            goal: Goal { kinds: vec![earned, nothing], ..Goal::default() },
            model: settings.model.unwrap_or_default(),
            controls: Controls {
                holdout: Some(0.0),
                // Learning is measured without the floor by which reports measure arms.
                floor: Some(0.0),
                half_life_us: settings.half_life_us,
                ..Controls::default()
            },
            ..Definition::new(slot.clone())
        };
        let mut player = Self {
            state: State::default(),
            definition: definition.clone(),
            slot,
            seed,
            decisions: 0,
            decision: None,
            silent_zeros: settings.silent_zeros,
        };
        player.change(0, Change::Create(definition));
        player
    }

    fn apply(&mut self, at_us: i64, body: Body) {
        self.state.apply(&Event { at_us, body });
    }

    fn change(&mut self, at_us: i64, change: Change) {
        let body = plan(&self.state, &self.slot, change, &ChangeReason::new("slotwise-simulator", ""));
        if let Some(body) = body.unwrap_or_else(|why| unreachable!("a valid change: {why}")) {
            self.apply(at_us, body);
        }
    }
}

impl StreamPlayer for SlotPlayer {
    fn choose(&mut self, round: &Round) -> usize {
        while self.definition.arms.len() < round.expected.len() {
            self.definition.arms.push(new_arm(self.definition.arms.len()));
            self.change(round.at_us, Change::Update { definition: self.definition.clone(), revision: 0 });
        }
        let mut request = Request::new(self.slot.clone());
        request.context = round.context.clone();
        request.subject = round
            .subject
            .as_ref()
            .map(|subject| Subject { id: subject.clone(), ..Subject::default() })
            .unwrap_or_default();
        request.candidates =
            round.only.iter().map(|&only| RequestCandidate { arm: arm(only), features: Features::new() }).collect();
        let random = hash("simulator draw", &[&self.seed.to_be_bytes(), &self.decisions.to_be_bytes()]);
        self.decisions += 1;
        let decided = {
            let Some(state) = self.state.slot(self.slot.as_str()) else { unreachable!("the slot was created") };
            let view = state.view();
            let id = DecisionId::new(view.number, round.at_us, random.other_word());
            decide(&view, request, DecideOptions::new(id, random.word())).decided
        };
        let shown = decided.chosen.first().and_then(|chosen| chosen.arm.as_str().strip_prefix("arm-")?.parse().ok());
        self.decision = Some(decided.id);
        self.apply(round.at_us, Body::Decided(Arc::new(decided)));
        shown.unwrap_or_else(|| unreachable!("a slot with arms shows one"))
    }

    fn learn(&mut self, round: &Round, _: usize, reward: f64) {
        let nothing = reward == 0.0;
        if nothing && self.silent_zeros {
            return;
        }
        let rewarded = RewardEvent {
            slot: self.slot.clone(),
            event_id: self.decisions.to_string(),
            decision: self.decision,
            subject: Subject::default(),
            arm: None,
            kind: if nothing { NOTHING } else { EARNED }.to_owned(),
            value: Some(reward),
            time_us: round.at_us,
            reverses: None,
        };
        self.apply(round.at_us, Body::Rewarded(Box::new(rewarded)));
    }
}
