//! Rules: from messages to the domain. Their ranges are checked with the definition that they are part of.

use super::{
    decode::{Decode, duration},
    proto,
};
use crate::slot::{Comparand, Effect, FieldError, OnError, Rule};

/// Rules; paths in errors begin with `rules`.
pub(super) fn rules(rules: Vec<proto::Rule>) -> Decode<Vec<Rule>> {
    let one = |message: proto::Rule| -> Decode<Rule> {
        let proto::Rule { name, when, effect: e, on_error, paused } = message;
        Ok(Rule {
            name,
            when,
            effect: effect(e)?,
            on_error: match proto::OnError::try_from(on_error) {
                Ok(proto::OnError::Unspecified | proto::OnError::Ignore) => OnError::Ignore,
                Ok(proto::OnError::Exclude) => OnError::Exclude,
                Err(_) => return Err(FieldError::new("on_error", format!("{on_error} is not an OnError"))),
            },
            paused,
        })
    };
    rules.into_iter().enumerate().map(|(i, rule)| one(rule).map_err(|e| e.within(&format!("rules[{i}]")))).collect()
}

fn effect(effect: Option<proto::rule::Effect>) -> Decode<Effect> {
    use proto::{evidence_effect::Than as InThan, rule::Effect as In};
    Ok(match effect {
        None => {
            let effects = "exclude, evidence, pin, boost, share, subject_cap, day_cap, quota, max_moves";
            return Err(FieldError::new("effect", format!("is missing; set one of {effects}")));
        }
        Some(In::Exclude(proto::ExcludeEffect {})) => Effect::Exclude,
        Some(In::Evidence(proto::EvidenceEffect { confidence, than })) => Effect::Evidence {
            confidence,
            than: match than {
                None | Some(InThan::Others(proto::OthersThan {})) => Comparand::Others,
                Some(InThan::Reward(reward)) => Comparand::Reward(reward),
            },
        },
        Some(In::Pin(proto::PinEffect { position })) => Effect::Pin { position },
        Some(In::Boost(proto::BoostEffect { factor })) => Effect::Boost { factor },
        Some(In::Share(proto::ShareEffect { min, max })) => Effect::ProbabilityBounds { min, max },
        Some(In::SubjectCap(proto::SubjectCapEffect { count, window, together })) => Effect::SubjectCap {
            count,
            window_us: window.map_or(Ok(0), |window| duration("subject_cap.window", window))?,
            together,
        },
        Some(In::DayCap(proto::DayCapEffect { count, together })) => Effect::DayCap { count, together },
        Some(In::Quota(proto::QuotaEffect { attribute, top, min_values, max_per_value })) => {
            Effect::Quota { attribute, top, min_values, max_per_value }
        }
        Some(In::MaxMoves(proto::MaxMovesEffect { positions })) => Effect::MaxMoves { positions },
    })
}
