//! Decoding of rules. The definition that holds them checks their ranges.

use super::{
    decode::{FieldResult, decode_duration},
    enums::decode_enum,
    proto,
};
use crate::slot::{Comparand, Effect, FieldError, OnError, Rule};

/// Decodes rules. Paths in errors begin with `rules`.
pub(super) fn decode_rules(rules: Vec<proto::Rule>) -> FieldResult<Vec<Rule>> {
    let one = |message: proto::Rule| -> FieldResult<Rule> {
        let proto::Rule { name, when, effect, on_error, paused } = message;
        Ok(Rule {
            name,
            when,
            effect: decode_effect(effect)?,
            on_error: decode_enum("on_error", on_error)?.unwrap_or(OnError::Ignore),
            paused,
        })
    };
    rules.into_iter().enumerate().map(|(i, rule)| one(rule).map_err(|e| e.within(&format!("rules[{i}]")))).collect()
}

fn decode_effect(effect: Option<proto::rule::Effect>) -> FieldResult<Effect> {
    use proto::{evidence_effect::Than as InThan, rule::Effect as In};
    Ok(match effect {
        None => {
            let effects = "exclude, evidence, pin, boost, bounds, subject_cap, day_cap, quota, max_moves";
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
        Some(In::Bounds(proto::BoundsEffect { floor, ceiling })) => Effect::ProbabilityBounds { floor, ceiling },
        Some(In::SubjectCap(proto::SubjectCapEffect { count, window, together })) => Effect::SubjectCap {
            count,
            window_us: window.map_or(Ok(0), |window| decode_duration("subject_cap.window", window))?,
            together,
        },
        Some(In::DayCap(proto::DayCapEffect { count, together })) => Effect::DayCap { count, together },
        Some(In::Quota(proto::QuotaEffect { attribute, top, min_values, max_per_value })) => {
            Effect::Quota { attribute, top, min_values, max_per_value }
        }
        Some(In::MaxMoves(proto::MaxMovesEffect { positions })) => Effect::MaxMoves { positions },
    })
}
