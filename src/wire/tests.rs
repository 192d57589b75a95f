//! Tests of the services without a server: before recovery, after a deadline, and of every conversion of a slot.

use std::sync::Arc;

use prost::Message as _;
use prost_types::FieldMask;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::{
    Api, decode_slot,
    difference::differences,
    encode_slot as encode, mask,
    proto::{
        self, Arm, CreateSlotRequest, DecideRequest, Fallback, GetSlotRequest, RecordRewardsRequest, Slot,
        decision_service_server::DecisionService as _, feedback_service_server::FeedbackService as _,
        slot_service_server::SlotService as _,
    },
};
use crate::{
    bandit::Policy,
    metrics::metrics,
    node::{ManualClock, Node, Options, Unobserved},
    slot::{Definition, SlotId},
};

fn api() -> Api {
    Api::new(metrics().unwrap(), TaskTracker::new(), CancellationToken::new(), CancellationToken::new())
}

#[tokio::test]
async fn before_recovery_every_call_is_unavailable_and_says_when_to_retry() {
    let api = api();
    let statuses = [
        api.decide(Request::new(DecideRequest::default())).await.unwrap_err(),
        api.record_rewards(Request::new(RecordRewardsRequest::default())).await.unwrap_err(),
        api.get_slot(Request::new(GetSlotRequest { slot_id: "offers".into() })).await.unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
        assert_eq!(status.get_details_error_info().unwrap().reason, "STARTING");
    }
    assert!(!api.serving());
}

#[tokio::test]
async fn past_the_deadline_the_baseline_is_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_793_000_000_000_000));
    let node = Node::open(&Options::new(folder.path()), clock, Arc::new(Unobserved)).unwrap();
    let api = api();
    api.open(Arc::new(node));
    let arm = |id: &str| Arm { arm_id: id.into(), ..Arm::default() };
    let slot = Slot { slot_id: "offers".into(), arms: vec![arm("a"), arm("b")], ..Slot::default() };
    api.create_slot(Request::new(CreateSlotRequest { slot: Some(slot), ..CreateSlotRequest::default() }))
        .await
        .unwrap();
    let mut request = Request::new(DecideRequest { slot_id: "offers".into(), ..DecideRequest::default() });
    request.metadata_mut().insert("grpc-timeout", "1n".parse().unwrap());
    let answer = api.decide(request).await.unwrap().into_inner();
    assert_eq!(answer.fallback(), Fallback::Deadline);
    assert_eq!((answer.arms[0].arm_id.as_str(), answer.arms[0].baseline_position), ("a", 1));
}

#[test]
fn every_policy_survives_its_message_and_none_stays_none() {
    let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    for policy in [
        None,
        Some(Policy::ThompsonSampling),
        Some(Policy::Uniform),
        Some(Policy::FixedOrder),
        Some(Policy::Greedy),
        Some(Policy::EpsilonGreedy { epsilon: 0.3 }),
        Some(Policy::LinUcb),
        Some(Policy::SquareCb { gamma: 40.0 }),
    ] {
        definition.controls.policy = policy;
        let (again, _) = decode_slot::slot(Some(encode::definition(&definition, 1))).unwrap();
        assert_eq!(again, definition);
    }
}

#[test]
fn every_example_of_a_slot_survives_its_message() {
    for definition in crate::slot::examples() {
        assert_eq!(decode_slot::slot(Some(encode::definition(&definition, 1))).unwrap().0, definition);
    }
}

/// Sets every field of a slot alone. A mask that names a field changes that field and no other.
#[test]
fn a_mask_takes_what_it_names_and_nothing_else() {
    let paths = [
        "display_name",
        "kind",
        "arms",
        "open_catalogue",
        "default_arm_id",
        "count",
        "default_consent",
        "goal.kinds",
        "goal.default_reward",
        "goal.window",
        "goal.aggregation",
        "goal.learning",
        "goal.click_model",
        "goal.grace_period",
        "goal.reversal_window",
        "goal.currency",
        "goal.silence",
        "goal.confirmation_window",
        "model",
        "from_catalogue",
        "controls.exploration",
        "controls.exploration_preset",
        "controls.floor",
        "controls.ceiling",
        "controls.arm_bounds",
        "controls.half_life",
        "controls.holdout",
        "controls.salt",
        "controls.analysis",
        "controls.baseline",
        "controls.mode",
        "controls.stickiness",
        "controls.warm_up",
        "controls.head_start",
        "controls.freeze_learning",
        "controls.safe_choice",
        "controls.simulated",
        "controls.subject_limit",
        "controls.experiment",
        "controls.profile_features",
        "controls.policy",
        "controls.approval",
        "rules",
    ];
    let plain = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    let taken = |wanted: &Definition, paths: &[&str]| {
        let mask = FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() };
        let draft = decode_slot::draft(Some(encode::definition(wanted, 0))).unwrap();
        mask::apply_mask(&plain, &draft, Some(&mask)).unwrap()
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut all = crate::slot::examples();
    all.push(whole());
    for wanted in all {
        assert_eq!(taken(&wanted, &paths), wanted, "together they are all of it");
        for path in paths {
            let changed = differences(&plain, &taken(&wanted, &[path]));
            assert!(changed.iter().all(|changed| changed.path.starts_with(path)), "{path}: {changed:?}");
            if !changed.is_empty() {
                seen.insert(path);
            }
        }
    }
    assert_eq!(seen, paths.into(), "every path took something of some definition");
}

proptest::proptest! {
    // A hundred cases would parse for seconds.
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_ids_and_texts_survive_the_contract(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let definition = crate::slot::odd_definition(&ids, &text);
        let message = encode::definition(&definition, 3);
        let message = Slot::decode(message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(decode_slot::slot(Some(message)).unwrap(), (definition.clone(), 3));
        // The differences have one path for each arm.
        let mut other = definition.clone();
        for arm in &mut other.arms {
            Arc::make_mut(arm).available = false;
        }
        let found = differences(&definition, &other);
        let paths: std::collections::BTreeSet<&str> = found.iter().map(|difference| difference.path.as_str()).collect();
        assert_eq!(paths.len(), ids.len(), "{paths:?}");
        let quoted = format!("arms[{:?}].available", ids[0]);
        assert!(paths.contains(quoted.as_str()), "{quoted} in {paths:?}");
    }

    #[test]
    fn any_ids_survive_a_request(ids in crate::slot::any_ids(), text in crate::slot::any_text()) {
        let mut request = crate::engine::Request::new(SlotId::parse("slot_id", "offers").unwrap());
        let candidate = |id: &String| crate::engine::RequestCandidate {
            arm: crate::slot::ArmId::parse("arm_id", id).unwrap(),
            features: [("word".to_owned(), crate::bandit::Value::Text(text.clone()))].into(),
        };
        request.candidates = ids.iter().map(candidate).collect();
        request.subject = crate::engine::Subject { id: ids[0].clone(), session_id: ids[1].clone() };
        request.request_id = Some(ids[0].clone());
        request.context = [("word".to_owned(), crate::bandit::Value::Text(text.clone()))].into();
        let bytes = super::encode::request(&request).encode_to_vec();
        let decoded = super::decode::request(DecideRequest::decode(bytes.as_slice()).unwrap()).unwrap();
        assert_eq!((decoded.request, decoded.ignored_features), (request, Vec::new()));
    }
}

/// Returns a definition with other than default values in the fields that the examples leave at their defaults.
fn whole() -> Definition {
    let mut whole = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
    whole.display_name = "Offers".into();
    whole.kind = crate::slot::SlotKind::Block;
    whole.open_catalogue = true;
    whole.default_arm = Some(crate::slot::ArmId::parse("arm_id", "none").unwrap());
    whole.count = Some(2);
    whole.default_consent = crate::slot::Consent::SessionOnly;
    whole.goal.window_us = 5_000_000;
    whole.controls.floor = Some(0.25);
    whole.controls.ceiling = Some(0.75);
    whole.controls.half_life_us = Some(86_400_000_000);
    whole.controls.policy = Some(Policy::Greedy);
    whole
}

#[test]
fn a_policy_without_its_parameters_has_the_documented_ones() {
    use proto::policy::Policy as In;
    let decoded = |policy| {
        let controls = proto::Controls { policy: Some(proto::Policy { policy }), ..proto::Controls::default() };
        let slot = Slot { slot_id: "offers".into(), controls: Some(controls), ..Slot::default() };
        decode_slot::slot(Some(slot)).unwrap().0.controls.policy
    };
    assert_eq!(decoded(None), None);
    let epsilon_greedy = In::EpsilonGreedy(proto::EpsilonGreedyPolicy::default());
    assert_eq!(decoded(Some(epsilon_greedy)), Some(Policy::EpsilonGreedy { epsilon: 0.05 }));
    let square_cb = In::SquareCb(proto::SquareCbPolicy::default());
    assert_eq!(decoded(Some(square_cb)), Some(Policy::SquareCb { gamma: 1000.0 }));
}
