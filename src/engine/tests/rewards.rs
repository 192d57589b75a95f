//! Tests of reward events: their statuses, and the decisions that they join.

use super::*;

#[test]
fn event_statuses_are_those_of_the_contract() {
    let mut world = StateHarness::new(definition(&["a", "b", "c"]));
    let one = world.decide(request());
    let two = world.decide(Request { count: 2, ..request() });
    assert_eq!(world.reward("e1", &one, "click", None), EventStatus::Accepted);
    assert_eq!(world.reward("e1", &one, "click", None), EventStatus::Duplicate);
    assert_eq!(world.reward("e1", &two, "click", None), EventStatus::Duplicate, "the id counts once in the slot");
    assert_eq!(world.reward("e2", &one, "buy", None), EventStatus::Rejected(Rejection::ValueNeeded));
    assert_eq!(world.reward("e2", &two, "click", None), EventStatus::Rejected(Rejection::ArmNeeded));
    assert_eq!(world.reward("e2", &one, "hover", None), EventStatus::Accepted, "an other kind");
    let elsewhere = RewardEvent { arm: Some(arm_id("zzz")), ..rewarded("e3", Some(one.id), "click", None) };
    assert_eq!(world.send(elsewhere), EventStatus::Unmatched(UnmatchedReason::Arm));
    let foreign = DecisionId::new(99, world.at_us, 5);
    assert_eq!(
        world.send(rewarded("e3", Some(foreign), "click", None)),
        EventStatus::Unmatched(UnmatchedReason::Decision)
    );
    assert_eq!(world.reverse("e4", &one, "never"), EventStatus::Unmatched(UnmatchedReason::Reversed));
    assert_eq!(world.reverse("e4", &one, "e1"), EventStatus::Accepted);
    assert_eq!(world.reverse("e5", &one, "e1"), EventStatus::Rejected(Rejection::AlreadyReversed));
    assert_eq!(world.reverse("e5", &one, "e4"), EventStatus::Rejected(Rejection::ReversalOfReversal));
    // The events claim to have happened long ago, so only the grace period of ten minutes makes them late.
    world.at_us += HOUR_US + HOUR_US / 6 + 1;
    assert_eq!(world.reward("e6", &one, "click", None), EventStatus::Late);
    world.at_us += HOUR_US;
    world.decide(request());
    assert_eq!(world.reward("e6", &one, "click", None), EventStatus::Late, "also after it was forgotten");
    let counters = world.counters();
    assert_eq!((counters.rewards, counters.duplicates, counters.late), (3, 2, 2));
    assert_eq!((counters.unmatched, counters.rejected, counters.other_kinds), (3, 4, 1));
    assert!(counters.reward_sum.abs() < 1e-12, "the one click was taken back");
}

#[test]
fn a_reward_without_a_decision_joins_the_subject_s_latest_that_showed_the_arm() {
    let mut world = StateHarness::new(definition(&["a"]));
    let subject = |id: &str, session_id: &str| Subject { id: id.into(), session_id: session_id.into() };
    let ask = |subject| Request { subject, ..request() };
    world.decide(ask(subject("ann", "s1")));
    let second = world.decide(ask(subject("ann", "s2")));
    world.decide(ask(subject("bob", "")));
    let time_us = world.at_us;
    let event = |event_id: &str, subject, arm: &str| RewardEvent {
        time_us,
        subject,
        arm: Some(arm_id(arm)),
        ..rewarded(event_id, None, "click", None)
    };
    assert_eq!(world.send(event("e1", subject("ann", ""), "a")), EventStatus::Accepted);
    let pending = &world.state.slot("offers").unwrap().decisions.pending;
    let joined = pending.get(pending.find(second.id).unwrap()).unwrap().events.len();
    assert_eq!(joined, 1, "the later of the two");
    assert_eq!(world.send(event("e2", subject("", "s1"), "a")), EventStatus::Accepted, "by the session alone");
    assert_eq!(world.send(event("e3", subject("eve", ""), "a")), EventStatus::Unmatched(UnmatchedReason::Subject));
    world.at_us += 2 * HOUR_US;
    assert_eq!(world.send(event("e4", subject("ann", ""), "a")), EventStatus::Late, "its decision must be gone");
    let now = RewardEvent { time_us: world.at_us, ..event("e5", subject("ann", ""), "a") };
    assert_eq!(world.send(now), EventStatus::Unmatched(UnmatchedReason::Subject));
}

#[test]
fn a_subject_without_consent_leaves_no_trace() {
    let mut world = StateHarness::new(definition(&["a"]));
    let subject = Subject { id: "ann".into(), session_id: "s1".into() };
    let ask = |consent| Request { subject: subject.clone(), consent, ..request() };
    assert_eq!(world.decide(ask(None)).subject, subject);
    let session = Subject { id: String::new(), session_id: "s1".into() };
    assert_eq!(world.decide(ask(Some(Consent::SessionOnly))).subject, session);
    assert_eq!(world.decide(ask(Some(Consent::None))).subject, Subject::default());
    world.update(|d| d.default_consent = Consent::None);
    assert_eq!(world.decide(ask(None)).subject, Subject::default());
}

/// An event of a kind that does not count, and its reversal, are no reward: silence has not ended.
#[test]
fn a_reversal_of_an_event_that_does_not_count_ends_no_silence() {
    let mut world = StateHarness::new(definition(&["a"]));
    let decided = world.decide(request());
    assert_eq!(world.reward("e1", &decided, "hover", None), EventStatus::Accepted);
    assert_eq!(world.reverse("e2", &decided, "e1"), EventStatus::Accepted);
    let learner = |world: &StateHarness| world.state.slot("offers").unwrap().learner().clone();
    assert!(learner(&world).summary(0).is_none(), "{:?}", learner(&world).summary(0));
    assert_eq!(world.reward("e3", &decided, "click", None), EventStatus::Accepted);
    assert_eq!(world.reverse("e4", &decided, "e3"), EventStatus::Accepted);
    assert!(learner(&world).summary(0).is_some());
}

#[test]
fn an_event_never_joins_a_decision_made_after_it() {
    let mut world = StateHarness::new(definition(&["a"]));
    let subject = Subject { id: "ann".into(), session_id: String::new() };
    world.decide(Request { subject: subject.clone(), ..request() });
    let event = |event_id: &str, time_us| RewardEvent {
        subject: subject.clone(),
        arm: Some(arm_id("a")),
        time_us,
        ..rewarded(event_id, None, "click", None)
    };
    let early = world.send(event("e1", world.at_us - HOUR_US));
    assert_eq!(early, EventStatus::Unmatched(UnmatchedReason::Subject));
    assert_eq!(world.send(event("e1", world.at_us)), EventStatus::Accepted);
}
