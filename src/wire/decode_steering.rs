//! Controls and rules: from messages to the domain. Their ranges are checked with the definition that they are part of.

use super::{
    decode::{Decode, duration},
    proto,
};
use crate::{
    bandit::Policy,
    slot::{
        ArmId, Baseline, Comparand, Controls, Effect, ExplorationPreset, FieldError, HeadStart, Mode, OnError,
        ProbabilityBounds, Rule, Stickiness, WarmUp, shorten_key,
    },
};

/// The controls of a slot; paths in errors begin with `controls`.
pub(super) fn controls(controls: Option<proto::Controls>) -> Decode<Controls> {
    let proto::Controls {
        exploration,
        floor,
        ceiling,
        half_life,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p,
        exploration_stop,
        arm_shares,
        warm_up,
        head_start,
        mode: m,
        baseline: b,
        salt,
        analysis,
        stickiness: s,
        simulated,
    } = controls.unwrap_or_default();
    let share = |(arm, proto::ArmShare { floor, ceiling }): (String, proto::ArmShare)| {
        Ok((
            ArmId::parse(&format!("controls.arm_shares[{}]", shorten_key(&arm)), &arm)?,
            ProbabilityBounds { floor, ceiling },
        ))
    };
    let head_start = head_start.map(|proto::HeadStart { views, share, limit }| HeadStart {
        views,
        share,
        limit: limit.unwrap_or(HeadStart::LIMIT_DEFAULT),
    });
    Ok(Controls {
        exploration,
        floor,
        ceiling,
        half_life_us: half_life.map(|half_life| duration("controls.half_life", half_life)).transpose()?,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p.and_then(policy),
        preset: match proto::ExplorationStop::try_from(exploration_stop) {
            Ok(proto::ExplorationStop::Unspecified) => None,
            Ok(proto::ExplorationStop::Cautious) => Some(ExplorationPreset::Cautious),
            Ok(proto::ExplorationStop::Balanced) => Some(ExplorationPreset::Balanced),
            Ok(proto::ExplorationStop::Curious) => Some(ExplorationPreset::Curious),
            Ok(proto::ExplorationStop::EvenSplit) => Some(ExplorationPreset::EvenSplit),
            Err(_) => {
                let message = format!("{exploration_stop} is not an ExplorationStop");
                return Err(FieldError::new("controls.exploration_stop", message));
            }
        },
        arm_bounds: arm_shares.into_iter().map(share).collect::<Decode<_>>()?,
        warm_up: warm_up.map(|proto::WarmUp { views, rewards, patience }| WarmUp { views, rewards, patience }),
        head_start,
        mode: m.and_then(mode),
        baseline: b.map(baseline).transpose()?.flatten(),
        // Empty is what there is without one.
        salt: salt.filter(|salt| !salt.is_empty()),
        analysis,
        stickiness: s.map(stickiness).transpose()?.flatten(),
        simulated,
    })
}

fn mode(mode: proto::Mode) -> Option<Mode> {
    use proto::mode::Mode as In;
    Some(match mode.mode? {
        In::On(proto::OnMode {}) => Mode::On,
        In::Watch(proto::WatchMode {}) => Mode::Shadow,
        In::Test(proto::TestMode { share }) => Mode::Test(share),
    })
}

fn baseline(baseline: proto::Baseline) -> Decode<Option<Baseline>> {
    use proto::baseline::Baseline as In;
    Ok(match baseline.baseline {
        None => None,
        Some(In::CallersOrder(proto::CallersOrderBaseline {})) => Some(Baseline::CallersOrder),
        Some(In::ArmId(arm)) => Some(Baseline::Arm(ArmId::parse("controls.baseline.arm_id", &arm)?)),
        Some(In::Uniform(proto::UniformBaseline {})) => Some(Baseline::Uniform),
    })
}

fn stickiness(stickiness: proto::Stickiness) -> Decode<Option<Stickiness>> {
    use proto::stickiness::Stickiness as In;
    Ok(match stickiness.stickiness {
        None => None,
        Some(In::Never(proto::NeverSticky {})) => Some(Stickiness::Never),
        Some(In::Session(proto::SessionSticky {})) => Some(Stickiness::Session),
        Some(In::For(time)) => Some(Stickiness::For(duration("controls.stickiness.for", time)?)),
    })
}

fn policy(policy: proto::Policy) -> Option<Policy> {
    use proto::policy::Policy as In;
    Some(match policy.policy? {
        In::ThompsonSampling(proto::ThompsonSamplingPolicy {}) => Policy::ThompsonSampling,
        In::Uniform(proto::UniformPolicy {}) => Policy::Uniform,
        In::FixedOrder(proto::FixedOrderPolicy {}) => Policy::FixedOrder,
        In::Greedy(proto::GreedyPolicy {}) => Policy::Greedy,
        In::EpsilonGreedy(proto::EpsilonGreedyPolicy { epsilon }) => Policy::epsilon_greedy(epsilon),
        In::LinUcb(proto::LinUcbPolicy {}) => Policy::LinUcb,
        In::SquareCb(proto::SquareCbPolicy { gamma }) => Policy::square_cb(gamma),
    })
}

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
