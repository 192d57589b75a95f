//! Controls: between messages and the domain, both ways in one place. Their ranges are checked with the definition that
//! they are part of.

use super::{
    decode::{self, Decode},
    encode::duration,
    proto,
};
use crate::{
    bandit::Policy,
    slot::{
        ArmId, Baseline, Controls, ExplorationPreset, FieldError, HeadStart, Mode, ProbabilityBounds, Stickiness,
        WarmUp, shorten_key,
    },
};

pub(super) fn decode_controls(controls: Option<proto::Controls>) -> Decode<Controls> {
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
        half_life_us: half_life.map(|half_life| decode::duration("controls.half_life", half_life)).transpose()?,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p.and_then(decode_policy),
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
        mode: m.and_then(decode_mode),
        baseline: b.map(decode_baseline).transpose()?.flatten(),
        // Empty is what there is without one.
        salt: salt.filter(|salt| !salt.is_empty()),
        analysis,
        stickiness: s.map(decode_stickiness).transpose()?.flatten(),
        simulated,
    })
}

fn decode_mode(mode: proto::Mode) -> Option<Mode> {
    use proto::mode::Mode as In;
    Some(match mode.mode? {
        In::On(proto::OnMode {}) => Mode::On,
        In::Watch(proto::WatchMode {}) => Mode::Shadow,
        In::Test(proto::TestMode { share }) => Mode::Test(share),
    })
}

fn decode_baseline(baseline: proto::Baseline) -> Decode<Option<Baseline>> {
    use proto::baseline::Baseline as In;
    Ok(match baseline.baseline {
        None => None,
        Some(In::CallersOrder(proto::CallersOrderBaseline {})) => Some(Baseline::CallersOrder),
        Some(In::ArmId(arm)) => Some(Baseline::Arm(ArmId::parse("controls.baseline.arm_id", &arm)?)),
        Some(In::Uniform(proto::UniformBaseline {})) => Some(Baseline::Uniform),
    })
}

fn decode_stickiness(stickiness: proto::Stickiness) -> Decode<Option<Stickiness>> {
    use proto::stickiness::Stickiness as In;
    Ok(match stickiness.stickiness {
        None => None,
        Some(In::Never(proto::NeverSticky {})) => Some(Stickiness::Never),
        Some(In::Session(proto::SessionSticky {})) => Some(Stickiness::Session),
        Some(In::For(time)) => Some(Stickiness::For(decode::duration("controls.stickiness.for", time)?)),
    })
}

fn decode_policy(policy: proto::Policy) -> Option<Policy> {
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

pub(super) fn encode_controls(controls: &Controls) -> proto::Controls {
    let Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p,
        preset,
        arm_bounds,
        warm_up,
        head_start,
        mode: m,
        baseline: b,
        salt,
        analysis,
        stickiness: s,
        simulated,
    } = controls;
    let share = |(arm, ProbabilityBounds { floor, ceiling }): (&ArmId, &ProbabilityBounds)| {
        (arm.to_string(), proto::ArmShare { floor: *floor, ceiling: *ceiling })
    };
    let head_start =
        head_start.map(|HeadStart { views, share, limit }| proto::HeadStart { views, share, limit: Some(limit) });
    proto::Controls {
        exploration: *exploration,
        floor: *floor,
        ceiling: *ceiling,
        half_life: half_life_us.map(duration),
        holdout: *holdout,
        freeze_learning: *freeze_learning,
        safe_choice: *safe_choice,
        policy: p.map(encode_policy),
        exploration_stop: match preset {
            None => proto::ExplorationStop::Unspecified,
            Some(ExplorationPreset::Cautious) => proto::ExplorationStop::Cautious,
            Some(ExplorationPreset::Balanced) => proto::ExplorationStop::Balanced,
            Some(ExplorationPreset::Curious) => proto::ExplorationStop::Curious,
            Some(ExplorationPreset::EvenSplit) => proto::ExplorationStop::EvenSplit,
        }
        .into(),
        arm_shares: arm_bounds.iter().map(share).collect(),
        warm_up: warm_up.map(|WarmUp { views, rewards, patience }| proto::WarmUp { views, rewards, patience }),
        head_start,
        mode: m.map(encode_mode),
        baseline: b.as_ref().map(encode_baseline),
        salt: salt.clone(),
        analysis: *analysis,
        stickiness: s.map(encode_stickiness),
        simulated: *simulated,
    }
}

fn encode_mode(mode: Mode) -> proto::Mode {
    use proto::mode::Mode as Out;
    let mode = match mode {
        Mode::On => Out::On(proto::OnMode {}),
        Mode::Shadow => Out::Watch(proto::WatchMode {}),
        Mode::Test(share) => Out::Test(proto::TestMode { share }),
    };
    proto::Mode { mode: Some(mode) }
}

fn encode_baseline(baseline: &Baseline) -> proto::Baseline {
    use proto::baseline::Baseline as Out;
    let baseline = match baseline {
        Baseline::CallersOrder => Out::CallersOrder(proto::CallersOrderBaseline {}),
        Baseline::Arm(arm) => Out::ArmId(arm.to_string()),
        Baseline::Uniform => Out::Uniform(proto::UniformBaseline {}),
    };
    proto::Baseline { baseline: Some(baseline) }
}

fn encode_stickiness(stickiness: Stickiness) -> proto::Stickiness {
    use proto::stickiness::Stickiness as Out;
    let stickiness = match stickiness {
        Stickiness::Never => Out::Never(proto::NeverSticky {}),
        Stickiness::Session => Out::Session(proto::SessionSticky {}),
        Stickiness::For(us) => Out::For(duration(us)),
    };
    proto::Stickiness { stickiness: Some(stickiness) }
}

fn encode_policy(policy: Policy) -> proto::Policy {
    use proto::policy::Policy as Out;
    let policy = match policy {
        Policy::ThompsonSampling => Out::ThompsonSampling(proto::ThompsonSamplingPolicy {}),
        Policy::Uniform => Out::Uniform(proto::UniformPolicy {}),
        Policy::FixedOrder => Out::FixedOrder(proto::FixedOrderPolicy {}),
        Policy::Greedy => Out::Greedy(proto::GreedyPolicy {}),
        Policy::EpsilonGreedy { epsilon } => Out::EpsilonGreedy(proto::EpsilonGreedyPolicy { epsilon: Some(epsilon) }),
        Policy::LinUcb => Out::LinUcb(proto::LinUcbPolicy {}),
        Policy::SquareCb { gamma } => Out::SquareCb(proto::SquareCbPolicy { gamma: Some(gamma) }),
    };
    proto::Policy { policy: Some(policy) }
}
