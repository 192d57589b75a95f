//! Results of reward events: the status of each, and a message that says what to do about it.

use super::proto;
use crate::{
    engine::{EventStatus, FirstEvent, Lateness, Rejection, RewardAnswer, RewardNote, UnmatchedReason},
    node::{duration_text, time_text},
    slot::{limits::EVENTS_PER_DECISION_MAX, shorten, suggestion},
};

/// Returns the result of a reward event.
pub(super) fn result(reply: &RewardAnswer) -> proto::RewardResult {
    use proto::RewardStatus as Out;
    let note = reply.note.as_deref().map(note_text).unwrap_or_default();
    let (status, message) = match reply.status {
        EventStatus::Accepted | EventStatus::Reversed => (Out::Accepted, note),
        EventStatus::Duplicate => (Out::Duplicate, note),
        EventStatus::Late => (Out::Late, note),
        EventStatus::Unmatched(why) => (Out::Unmatched, unmatched(why).to_owned()),
        EventStatus::Rejected(why) => (Out::Rejected, rejected(why)),
    };
    proto::RewardResult { status: status.into(), message }
}

fn unmatched(why: UnmatchedReason) -> &'static str {
    match why {
        UnmatchedReason::Slot => "slot_id: there is no such slot; check its spelling",
        UnmatchedReason::Decision => {
            "decision_id: no such decision is known; check that it came from this service, and that the slot was not reset since"
        }
        UnmatchedReason::OtherSlot => {
            "slot_id: the decision belongs to another slot; leave slot_id empty, or give the decision's"
        }
        UnmatchedReason::Arm => "arm_id: the decision did not show this arm; give one that it showed",
        UnmatchedReason::Subject => {
            "subject: no decision within the window showed this arm to this subject; give the decision_id"
        }
        UnmatchedReason::Reversed => {
            "reverses_event_id: no such event was accepted within the reversal window; check its id"
        }
    }
}

fn rejected(why: Rejection) -> String {
    match why {
        Rejection::ArmNeeded => "arm_id: the decision shows several arms; say which".into(),
        Rejection::ValueNeeded => "value: this kind uses the value in the slot's goal; give it".into(),
        Rejection::ReversalOfReversal => {
            "reverses_event_id: a reversal cannot be reversed; send the event again with a new event_id".into()
        }
        Rejection::AlreadyReversed => "reverses_event_id: that event was reversed before".into(),
        Rejection::TooManyEvents => {
            format!("event_id: the decision has {EVENTS_PER_DECISION_MAX} events, which is the most that it keeps")
        }
    }
}

fn note_text(note: &RewardNote) -> String {
    match note {
        RewardNote::OtherKind { kind, definition } => {
            let kinds = &definition.goal.kinds;
            let near = suggestion(kind, kinds.iter().map(|kind| kind.kind.as_str()));
            let names: Vec<String> = kinds.iter().map(|kind| format!("'{}'", shorten(&kind.kind))).collect();
            let near = if near.is_empty() { format!("; those are {}", names.join(", ")) } else { near };
            format!(
                "kind: '{}' is not a kind of this slot's goal, so the event is counted and changes no reward{near}",
                shorten(kind)
            )
        }
        RewardNote::DifferentEvent(first) => reused_id(first),
        RewardNote::Late(lateness) => late(lateness),
    }
}

/// Returns the message about an id that was used for another event.
fn reused_id(first: &FirstEvent) -> String {
    let FirstEvent { decision, kind, value, arm, reversal, came_us } = first;
    let kind = kind.as_ref().map(|kind| {
        let opening = if *reversal { " a reversal of kind '" } else { " '" };
        format!("{opening}{}'", shorten(kind))
    });
    let about = [
        kind,
        value.map(|value| format!(" of value {value}")),
        arm.as_ref().map(|arm| format!(" of arm '{}'", shorten(arm.as_str()))),
        decision.map(|decision| format!(" for decision {decision}")),
        came_us.map(|came_us| format!(" another event, which came at {}", time_text(came_us))),
    ];
    let about: String = about.into_iter().flatten().collect();
    format!(
        "event_id: the first event of this id was{about}; it stands, and this one is not counted. Give each event an id of its own"
    )
}

/// Returns the message about a late event, with both times.
fn late(lateness: &Lateness) -> String {
    let Lateness { decided_us, happened_us, came_us, window_us, grace_period_us, reversal_window_us } = *lateness;
    let window = duration_text(window_us);
    let happened = time_text(happened_us);
    let took_back = |window_us: i64| {
        format!(
            "what takes a reward back counts for {} after the decision (goal.reversal_window)",
            duration_text(window_us)
        )
    };
    let Some(decided_us) = decided_us else {
        let span = reversal_window_us.map_or_else(
            || format!("reports of it count for {window} and {} more", duration_text(grace_period_us)),
            took_back,
        );
        return format!(
            "time: the event happened at {happened} and came at {}; {span}, and its decision is known no longer",
            time_text(came_us)
        );
    };
    let decided = time_text(decided_us);
    if let Some(window_us) = reversal_window_us {
        if came_us.saturating_sub(decided_us) <= window_us {
            return format!(
                "decision_id: the decision, made at {decided}, had no reward when its window closed, so it was not kept, and the event, which came at {}, has nothing to take back",
                time_text(came_us)
            );
        }
        return format!(
            "time: the decision was made at {decided} and the event came at {}; {}",
            time_text(came_us),
            took_back(window_us)
        );
    }
    let happened_in_time = happened_us.min(came_us).saturating_sub(decided_us) <= window_us;
    let closed_us = decided_us.saturating_add(window_us).saturating_add(grace_period_us);
    if !happened_in_time {
        return format!(
            "time: the event happened at {happened}, the decision was made at {decided}; what happens counts for {window} after it (goal.window)"
        );
    }
    if came_us > closed_us {
        return format!(
            "time: the event happened at {happened}, for a decision made at {decided}, and came at {}; reports were taken until {} (goal.window and goal.grace_period)",
            time_text(came_us),
            time_text(closed_us)
        );
    }
    format!(
        "time: the event happened at {happened}; the decision, made at {decided}, is forgotten before its time because too many waited"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::slot::{Definition, SlotId};

    fn message(outcome: EventStatus, note: RewardNote) -> String {
        result(&RewardAnswer { status: outcome, note: Some(Box::new(note)) }).message
    }

    #[test]
    fn a_kind_that_the_goal_does_not_know_is_named_with_the_one_that_was_meant() {
        let definition = Arc::new(Definition::new(SlotId::parse("slot_id", "offers").unwrap()));
        let of = |kind: &str| {
            let note = RewardNote::OtherKind { kind: kind.into(), definition: Arc::clone(&definition) };
            message(EventStatus::Accepted, note)
        };
        assert!(
            of("clik").contains("'clik' is not a kind of this slot's goal")
                && of("clik").contains("did you mean 'click'")
        );
        assert!(of("refund").contains("those are 'click'"), "{}", of("refund"));
        assert!(of(&"x\u{1b}".repeat(500)).len() < 400);
    }

    #[test]
    fn a_refund_of_what_was_never_paid_is_told_so() {
        let lateness = Lateness {
            decided_us: Some(1_793_000_000_000_000),
            happened_us: 1_793_000_002_000_000,
            came_us: 1_793_000_002_000_000,
            window_us: 1_000_000,
            grace_period_us: 0,
            reversal_window_us: Some(60 * 86_400_000_000),
        };
        let text = message(EventStatus::Late, RewardNote::Late(lateness));
        assert!(text.contains("had no reward when its window closed"), "{text}");
        let after = Lateness { came_us: 1_793_000_000_000_000 + 61 * 86_400_000_000, ..lateness };
        let text = message(EventStatus::Late, RewardNote::Late(after));
        assert!(text.contains("counts for 60days after"), "{text}");
    }

    #[test]
    fn a_late_event_is_answered_with_both_times() {
        let lateness = Lateness {
            decided_us: Some(1_793_000_000_000_000),
            happened_us: 1_793_000_000_000_000 + 7_200_000_000,
            came_us: 1_793_000_000_000_000 + 7_300_000_000,
            window_us: 3_600_000_000,
            grace_period_us: 600_000_000,
            reversal_window_us: None,
        };
        for lateness in [
            lateness,
            Lateness { happened_us: lateness.happened_us - 4_000_000_000, ..lateness },
            Lateness { decided_us: None, ..lateness },
            Lateness { reversal_window_us: Some(86_400_000_000), ..lateness },
            Lateness { came_us: 1_793_000_003_600_000, happened_us: 1_793_000_001_000_000, ..lateness },
        ] {
            let text = message(EventStatus::Late, RewardNote::Late(lateness));
            assert!(text.matches("2026-10-26T").count() >= 2, "{text}");
        }
    }
}
