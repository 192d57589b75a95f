//! The events of a fixture: slots of every kind with traffic, every kind of change, and two snapshots.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use serde_json::{Value as Json, json};
use slotwise::{
    bandit::{ClickModel, Features, ModelSpec, Policy, Value},
    engine::{
        Availability, Body, Change, DecideOptions, DecisionId, DecisionRecord, Event, EventEffect, Request,
        RequestCandidate, RewardEvent, ShopperEvent, ShopperItem, ShopperView, State, Subject, decide, hash, plan,
    },
    journal::{Journal as _, LossPolicy, SqliteJournal},
    node::{encode_event, save_snapshot},
    slot::{
        Arm, ArmId, Baseline, ChangeReason, Comparand, Consent, Controls, Definition, Effect, ExplorationPreset, Goal,
        HeadStart, Learning, Mode, OnError, ProbabilityBounds, RewardKind, Rule, Schedule, SlotId, SlotKind,
        Stickiness, Unavailable, WarmUp,
    },
};

/// Slots that have traffic.
const SLOTS: [&str; 8] = ["offers", "revenue", "ranking", "cascade", "rates", "values", "steered", "shadow"];
const MINUTE_US: i64 = 60_000_000;

fn slot_id(id: &str) -> SlotId {
    SlotId::parse("slot_id", id).unwrap()
}

fn arm(id: &str) -> Arm {
    let attributes = [("brand".to_owned(), Value::Text(format!("brand-{}", id.len())))].into();
    Arm {
        id: ArmId::parse("arm_id", id).unwrap(),
        attributes,
        available: true,
        payload: None,
        because: None,
        schedule: Schedule::default(),
    }
}

/// Returns a rule of every effect, each of which matches something, and one rule that fails.
fn rules() -> Vec<Rule> {
    let effects = [
        ("arm.id == 'dddd' && context.age > 45.0", Effect::Exclude),
        ("arm.id == 'ccc' && !context.member", Effect::Evidence { confidence: 0.6, than: Comparand::Others }),
        ("arm.id == 'a' && context.device == 'till'", Effect::Pin { position: 2 }),
        ("arm.brand == 'brand-2'", Effect::Boost { factor: 1.5 }),
        ("arm.id == 'bb'", Effect::ProbabilityBounds { floor: Some(0.1), ceiling: Some(0.7) }),
        ("arm.id == 'a'", Effect::SubjectCap { count: 3, window_us: 20 * MINUTE_US, together: false }),
        ("arm.brand == 'brand-3'", Effect::DayCap { count: 25, together: true }),
        ("true", Effect::Quota { attribute: "brand".into(), top: 2, min_values: Some(2), max_per_value: None }),
        ("arm.brand == 'brand-4'", Effect::MaxMoves { positions: 3 }),
        ("context.nothing > 1.0", Effect::Exclude),
    ];
    let rule = |(n, (when, effect)): (usize, (&str, Effect))| Rule {
        name: format!("rule {n}"),
        when: when.into(),
        effect,
        on_error: OnError::Ignore,
        paused: n == 8,
    };
    effects.into_iter().enumerate().map(rule).collect()
}

fn steering_controls() -> Controls {
    Controls {
        preset: Some(ExplorationPreset::Curious),
        floor: Some(0.02),
        arm_bounds: [(arm("dddd").id, ProbabilityBounds { floor: None, ceiling: Some(0.6) })].into(),
        warm_up: Some(WarmUp { views: 2, rewards: 0, patience: None }),
        head_start: Some(HeadStart { views: 5, floor: 0.1, limit: 0.3 }),
        holdout: Some(0.2),
        analysis: Some(0.2),
        mode: Some(Mode::Test(0.9)),
        baseline: Some(Baseline::Arm(arm("bb").id)),
        salt: Some("autumn".into()),
        stickiness: Some(Stickiness::Session),
        simulated: Some(true),
        ..Controls::default()
    }
}

fn definition(id: &str) -> Definition {
    let kind = |kind: &str, use_value, cap, winsorize| RewardKind {
        kind: kind.into(),
        weight: 1.0,
        use_value,
        cap,
        winsorize,
        role: None,
        joins: None,
    };
    let kinds = vec![kind("click", false, Some(1.0), None)];
    let goal = Goal { kinds, window_us: 30 * MINUTE_US, ..Goal::default() };
    let arms = ["a", "bb", "ccc", "dddd"].map(|id| Arc::new(arm(id))).to_vec();
    let mut definition = Definition { arms, goal, ..Definition::new(slot_id(id)) };
    match id {
        "revenue" => {
            definition.goal.kinds.push(kind("buy", true, None, Some(0.95)));
            definition.controls.holdout = Some(0.2);
            definition.model = ModelSpec::linear(None, None);
            definition.controls.policy = Some(Policy::square_cb(Some(50.0)));
        }
        "ranking" => {
            (definition.kind, definition.count, definition.open_catalogue) = (SlotKind::Ranking, Some(3), true);
            definition.goal.click_model = ClickModel::PositionBased;
            definition.model = ModelSpec::linear(None, None);
        }
        "cascade" => {
            (definition.kind, definition.count) = (SlotKind::Block, Some(3));
            definition.goal.click_model = ClickModel::Cascade;
            definition.model = ModelSpec::linear(None, None);
        }
        "rates" => {
            definition.goal.learning = Learning::AtClose;
            definition.model = ModelSpec::beta_bernoulli(None, None);
        }
        "steered" => {
            (definition.kind, definition.count) = (SlotKind::Block, Some(2));
            (definition.controls, definition.rules) = (steering_controls(), rules());
        }
        "shadow" => {
            definition.controls.mode = Some(Mode::Shadow);
            definition.controls.baseline = Some(Baseline::Uniform);
        }
        "values" => definition.model = ModelSpec::normal_inverse_gamma(None, None, None, None),
        _ => {}
    }
    definition
}

/// A journal with its state and its clock.
struct FixtureJournal {
    state: State,
    journal: SqliteJournal,
    at_us: i64,
    count: u64,
}

/// Subject of a decision: with ids as earlier versions stored them, or with pseudonyms as a service stores them.
fn subject(count: u64) -> Subject {
    let (id, session_id) = (format!("subject-{}", count % 9), format!("s{}", count % 4));
    let pseudonym = |text: &str| {
        let mut bytes = [0_u8; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        format!("~{}", data_encoding::BASE32_DNSSEC.encode(&bytes))
    };
    if count.is_multiple_of(2) {
        Subject { id, session_id }
    } else {
        Subject { id: pseudonym(&id), session_id: pseudonym(&session_id) }
    }
}

impl FixtureJournal {
    fn apply(&mut self, body: Body) -> EventEffect {
        let event = Event { at_us: self.at_us, body };
        self.journal.append(&[encode_event(&event)]).unwrap();
        self.state.apply(&event)
    }

    fn change(&mut self, slot: &str, change: Change) {
        let body =
            plan(&self.state, &slot_id(slot), change, &ChangeReason::new("ann", "for the fixture")).unwrap().unwrap();
        self.apply(body);
    }

    fn decide(&mut self, slot: &str) -> Arc<DecisionRecord> {
        self.count += 1;
        let random = hash("fixture", &[&self.count.to_be_bytes()]);
        let context: Features = [
            ("age".to_owned(), Value::Number(random.fraction() * 60.0)),
            ("device".to_owned(), Value::Text(["web", "app", "till"][usize::try_from(self.count % 3).unwrap()].into())),
            ("member".to_owned(), Value::Flag(self.count.is_multiple_of(2))),
            ("tags".to_owned(), Value::Texts(vec!["new".into(), format!("t{}", self.count % 5)])),
            ("taste".to_owned(), Value::Vector(vec![0.5, -1.25])),
        ]
        .into();
        let candidate = |id: &str| RequestCandidate {
            arm: ArmId::parse("arm_id", id).unwrap(),
            features: [("near".to_owned(), Value::Number(0.25))].into(),
        };
        let mut request = Request {
            slot: slot_id(slot),
            subject: subject(self.count),
            rule_subject: None,
            matches: None,
            context,
            candidates: if slot == "ranking" { ["a", "dddd", "x", "y"].map(candidate).to_vec() } else { Vec::new() },
            count: 0,
            request_id: self.count.is_multiple_of(4).then(|| format!("request-{}", self.count)),
            consent: None,
            explain: false,
            deferred: false,
            client: String::new(),
        };
        let state = self.state.slot(slot).unwrap();
        let view = state.view();
        let profiles = self.state.profiles().unwrap();
        let simulated = view.definition.controls.simulated();
        ShopperView::find(&request.subject, simulated, self.at_us, |key| profiles.get(key).cloned()).add_features(
            &mut request,
            &view,
            self.at_us,
        );
        let id = DecisionId::new(view.number, self.at_us, random.other_word());
        let options = DecideOptions::new(id, random.word());
        let decided =
            Arc::new(decide(&view, request, DecideOptions { exposures: Some(state.exposure()), ..options }).decided);
        self.apply(Body::Decided(Arc::clone(&decided)));
        decided
    }

    fn reward(
        &mut self,
        decided: &DecisionRecord,
        kind: &str,
        value: Option<f64>,
        by_subject: bool,
        reverses: Option<String>,
    ) -> String {
        self.count += 1;
        let event_id = format!("event-{}", self.count);
        self.apply(Body::Rewarded(Box::new(RewardEvent {
            slot: decided.slot.clone(),
            event_id: event_id.clone(),
            decision: (!by_subject).then_some(decided.id),
            subject: if by_subject { decided.subject.clone() } else { Subject::default() },
            arm: decided.chosen.first().map(|chosen| chosen.arm.clone()),
            kind: kind.into(),
            value,
            time_us: self.at_us,
            reverses,
        })));
        event_id
    }

    /// Reports what a subject did after a decision, once for all slots.
    fn report(&mut self, decided: &DecisionRecord, kind: &str, reverses: Option<String>) -> String {
        self.count += 1;
        let event_id = format!("event-{}", self.count);
        let attributes: Features = [
            ("category", Value::Text("shoes".into())),
            ("price", Value::Number(f64::from(40 + u32::try_from(self.count % 7).unwrap()))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let item = |chosen: &slotwise::engine::ChosenArm| ShopperItem {
            item: chosen.arm.clone(),
            quantity: Some(2.0),
            value: Some(9.5),
            attributes: attributes.clone(),
        };
        let withdraws = self.count.is_multiple_of(50);
        self.apply(Body::Shopper(Arc::new(ShopperEvent {
            event_id: event_id.clone(),
            kind: kind.into(),
            subject: if withdraws { Subject::default() } else { decided.subject.clone() },
            consent: if withdraws { Consent::None } else { Consent::Full },
            withdrawn: if withdraws { decided.subject.clone() } else { Subject::default() },
            simulated: false,
            items: decided.chosen.iter().take(2).map(item).collect(),
            attributes: Features::new(),
            query: "red boots".into(),
            viewed_through: None,
            value: None,
            currency: Some("EUR".into()),
            decisions: if self.count.is_multiple_of(3) { vec![decided.id] } else { Vec::new() },
            time_us: self.at_us,
            reverses,
            keep_us: 180 * 24 * 60 * MINUTE_US,
        })));
        event_id
    }

    fn traffic(&mut self, rounds: u64) {
        for round in 0..rounds {
            for slot in SLOTS {
                self.at_us += 2_000_000;
                let decided = self.decide(slot);
                if round % 3 == 0 {
                    let event = self.reward(&decided, "click", None, round % 2 == 0, None);
                    if round % 9 == 0 {
                        self.at_us += 1_000_000;
                        self.reward(&decided, "undo", None, false, Some(event));
                    }
                }
                if round % 4 == 1 {
                    let event = self.report(
                        &decided,
                        ["click", "buy", "purchase", "view"][usize::try_from(round % 16 / 4).unwrap()],
                        None,
                    );
                    if round % 12 == 1 {
                        self.report(&decided, "undo", Some(event));
                    }
                }
                if slot == "revenue" && round % 4 == 0 {
                    self.reward(&decided, "buy", Some(f64::from(u32::try_from(round % 7).unwrap()) * 9.5), false, None);
                    self.reward(&decided, "wish", None, false, None);
                }
            }
        }
    }
}

/// Writes a fixture: a journal with every kind of event, two snapshots, the events after them, and the expected state.
pub(crate) fn write_fixture(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let journal = SqliteJournal::open(folder, LossPolicy::Refused).unwrap();
    let mut fixture = FixtureJournal { state: State::default(), journal, at_us: 1_793_000_000_000_000, count: 0 };
    for slot in SLOTS.into_iter().chain(["gone"]) {
        fixture.change(slot, Change::Create(definition(slot)));
    }
    fixture.traffic(15);
    save_snapshot(folder, &fixture.state.freeze()).unwrap();
    fixture.change("offers", Change::UpsertArms(vec![arm("eeeee")]));
    fixture.change("offers", Change::SetAvailability(vec![(arm("a").id, Availability::new(false))]));
    let soon = Schedule { from_us: Some(fixture.at_us + MINUTE_US), until_us: Some(fixture.at_us + 60 * MINUTE_US) };
    let gone = Availability { available: Some(false), because: Some(Unavailable::OutOfStock), schedule: None };
    let scheduled = Availability { available: None, because: None, schedule: Some(soon) };
    fixture.change("steered", Change::SetAvailability(vec![(arm("dddd").id, gone), (arm("ccc").id, scheduled)]));
    let mut edited = (**fixture.state.slot("revenue").unwrap().definition()).clone();
    edited.controls.floor = Some(0.05);
    fixture.change("revenue", Change::Update { definition: edited, revision: 0 });
    fixture.change("revenue", Change::Rollback(1));
    // Earlier versions wrote a whole definition where today's write a patch.
    let mut replaced = (**fixture.state.slot("values").unwrap().definition()).clone();
    replaced.display_name = "Values, renamed".into();
    let why = ChangeReason::new("ann", "for the fixture");
    fixture.apply(Body::SlotUpdated { definition: Arc::new(replaced), why, rolled_back_to: None });
    fixture.traffic(10);
    fixture.change("offers", Change::RemoveArms(vec![arm("eeeee").id]));
    fixture.change("values", Change::Reset);
    fixture.change("gone", Change::Delete);
    fixture.traffic(5);
    save_snapshot(folder, &fixture.state.freeze()).unwrap();
    fixture.traffic(5);
    let expected = serde_json::to_string_pretty(&summary(&fixture.state)).unwrap();
    drop(fixture);
    fs::write(folder.join("expected.json"), expected).unwrap();
}

/// Returns the figures of a state on which every version must agree.
pub(crate) fn summary(state: &State) -> Json {
    let slots: BTreeMap<String, Json> = state
        .slots()
        .map(|(id, slot)| {
            let view = slot.view();
            let arm = |(i, name): (usize, &ArmId)| {
                let learned = view.learner.summary(u32::try_from(i).unwrap());
                let tally = view.arm_counters.get(i).copied().unwrap_or_default();
                let figures = json!({
                    "shown": tally.shown,
                    "reward_sum": tally.reward_sum,
                    "mean": learned.map(|learned| learned.value.mean()),
                    "spread": learned.map(|learned| learned.value.spread()),
                });
                (name.to_string(), figures)
            };
            let arms: BTreeMap<String, Json> = view.arms.names().iter().enumerate().map(arm).collect();
            let figures = json!({
                "revision": view.revision,
                "revisions": view.revisions.len(),
                "counters": view.counters,
                "pending": view.pending,
                "repeatable": slot.requests().count(),
                "arms": arms,
            });
            (id.to_string(), figures)
        })
        .collect();
    let profiles = state.profiles().map(slotwise::engine::ProfileStore::counts).unwrap_or_default();
    json!({
        "position": state.position(),
        "at_us": state.at_us(),
        "slots": slots,
        "sessions": profiles.sessions,
        "visitors": profiles.visitors,
        "buyers": profiles.buyers,
    })
}
