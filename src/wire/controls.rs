//! Conversion of controls from and to messages. The definition that holds the controls checks their ranges.

use super::{
    decode::{FieldResult, decode_duration},
    encode::encode_duration,
    enums::{decode_enum, encode_enum},
    proto,
};
use crate::{
    bandit::Policy,
    slot::{Approval, ArmId, Baseline, Controls, HeadStart, Mode, ProbabilityBounds, Stickiness, WarmUp, shorten_key},
};

pub(super) fn decode_controls(controls: Option<proto::Controls>) -> FieldResult<Controls> {
    let proto::Controls {
        exploration,
        floor,
        ceiling,
        half_life,
        holdout,
        freeze_learning,
        safe_choice,
        policy,
        exploration_preset,
        arm_bounds,
        warm_up,
        head_start,
        mode,
        baseline,
        salt,
        analysis,
        stickiness,
        simulated,
        subject_limit,
        experiment,
        profile_features,
        approval,
    } = controls.unwrap_or_default();
    let bounds = |(arm, proto::ProbabilityBounds { floor, ceiling }): (String, proto::ProbabilityBounds)| {
        Ok((
            ArmId::parse(&format!("controls.arm_bounds[{}]", shorten_key(&arm)), &arm)?,
            ProbabilityBounds { floor, ceiling },
        ))
    };
    let head_start = head_start.map(|proto::HeadStart { views, floor, limit }| HeadStart {
        views,
        floor,
        limit: limit.unwrap_or(HeadStart::LIMIT_DEFAULT),
    });
    Ok(Controls {
        exploration,
        floor,
        ceiling,
        half_life_us: half_life.map(|half_life| decode_duration("controls.half_life", half_life)).transpose()?,
        holdout,
        freeze_learning,
        safe_choice,
        policy: policy.and_then(decode_policy),
        preset: decode_enum("controls.exploration_preset", exploration_preset)?,
        arm_bounds: arm_bounds.into_iter().map(bounds).collect::<FieldResult<_>>()?,
        warm_up: warm_up.map(|proto::WarmUp { views, rewards, patience }| WarmUp { views, rewards, patience }),
        head_start,
        mode: mode.and_then(decode_mode),
        baseline: baseline.map(decode_baseline).transpose()?.flatten(),
        // An empty salt is the same as none.
        salt: salt.filter(|salt| !salt.is_empty()),
        analysis,
        stickiness: stickiness.map(decode_stickiness).transpose()?.flatten(),
        simulated,
        subject_limit,
        experiment: experiment.filter(|experiment| !experiment.is_empty()),
        profile_features: decode_enum("controls.profile_features", profile_features)?,
        approval: approval.map(decode_approval).transpose()?,
    })
}

fn decode_approval(approval: proto::Approval) -> FieldResult<Approval> {
    let proto::Approval { changes, draft_lifetime } = approval;
    let lifetime = draft_lifetime.map(|time| decode_duration("controls.approval.draft_lifetime", time));
    Ok(Approval { changes, draft_lifetime_us: lifetime.transpose()? })
}

fn decode_mode(mode: proto::Mode) -> Option<Mode> {
    use proto::mode::Mode as In;
    Some(match mode.mode? {
        In::On(proto::OnMode {}) => Mode::On,
        In::Shadow(proto::ShadowMode {}) => Mode::Shadow,
        In::Test(proto::TestMode { share }) => Mode::Test(share),
    })
}

fn decode_baseline(baseline: proto::Baseline) -> FieldResult<Option<Baseline>> {
    use proto::baseline::Baseline as In;
    Ok(match baseline.baseline {
        None => None,
        Some(In::CallersOrder(proto::CallersOrderBaseline {})) => Some(Baseline::CallersOrder),
        Some(In::ArmId(arm)) => Some(Baseline::Arm(ArmId::parse("controls.baseline.arm_id", &arm)?)),
        Some(In::Uniform(proto::UniformBaseline {})) => Some(Baseline::Uniform),
    })
}

fn decode_stickiness(stickiness: proto::Stickiness) -> FieldResult<Option<Stickiness>> {
    use proto::stickiness::Stickiness as In;
    Ok(match stickiness.stickiness {
        None => None,
        Some(In::Never(proto::NeverSticky {})) => Some(Stickiness::Never),
        Some(In::Session(proto::SessionSticky {})) => Some(Stickiness::Session),
        Some(In::For(time)) => Some(Stickiness::For(decode_duration("controls.stickiness.for", time)?)),
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

pub(crate) fn encode_controls(controls: &Controls) -> proto::Controls {
    let Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy,
        preset,
        arm_bounds,
        warm_up,
        head_start,
        mode,
        baseline,
        salt,
        analysis,
        stickiness,
        simulated,
        subject_limit,
        experiment,
        profile_features,
        approval,
    } = controls;
    let bounds = |(arm, ProbabilityBounds { floor, ceiling }): (&ArmId, &ProbabilityBounds)| {
        (arm.to_string(), proto::ProbabilityBounds { floor: *floor, ceiling: *ceiling })
    };
    let head_start =
        head_start.map(|HeadStart { views, floor, limit }| proto::HeadStart { views, floor, limit: Some(limit) });
    proto::Controls {
        exploration: *exploration,
        floor: *floor,
        ceiling: *ceiling,
        half_life: half_life_us.map(encode_duration),
        holdout: *holdout,
        freeze_learning: *freeze_learning,
        safe_choice: *safe_choice,
        policy: policy.map(encode_policy),
        exploration_preset: encode_enum(*preset),
        arm_bounds: arm_bounds.iter().map(bounds).collect(),
        warm_up: warm_up.map(|WarmUp { views, rewards, patience }| proto::WarmUp { views, rewards, patience }),
        head_start,
        mode: mode.map(encode_mode),
        baseline: baseline.as_ref().map(encode_baseline),
        salt: salt.clone(),
        analysis: *analysis,
        stickiness: stickiness.map(encode_stickiness),
        simulated: *simulated,
        subject_limit: *subject_limit,
        experiment: experiment.clone(),
        profile_features: encode_enum(*profile_features),
        approval: approval.as_ref().map(encode_approval),
    }
}

fn encode_approval(Approval { changes, draft_lifetime_us }: &Approval) -> proto::Approval {
    proto::Approval { changes: changes.clone(), draft_lifetime: draft_lifetime_us.map(encode_duration) }
}

fn encode_mode(mode: Mode) -> proto::Mode {
    use proto::mode::Mode as Out;
    let mode = match mode {
        Mode::On => Out::On(proto::OnMode {}),
        Mode::Shadow => Out::Shadow(proto::ShadowMode {}),
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
        Stickiness::For(us) => Out::For(encode_duration(us)),
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
