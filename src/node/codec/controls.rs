//! Conversion of controls to the journal's messages and back.

use super::{
    decode::{DecodeResult, parse_arm_id},
    error::DecodeError,
    log,
    numbers::{Numbered as _, optional_number},
};
use crate::{
    bandit::Policy,
    slot::{
        Approval, ArmId, Baseline, Controls, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, ProfileFeatures,
        Stickiness, WarmUp,
    },
};

pub(super) fn decode_controls(controls: log::Controls) -> DecodeResult<Controls> {
    let log::Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
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
    } = controls;
    Ok(Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy: policy.map(decode_policy).transpose()?,
        preset: ExplorationPreset::from_optional(exploration_preset, 0)?,
        arm_bounds: arm_bounds.into_iter().map(decode_bounds).collect::<DecodeResult<_>>()?,
        warm_up: warm_up.map(|log::WarmUp { views, rewards, patience }| WarmUp { views, rewards, patience }),
        head_start: head_start.map(|log::HeadStart { views, floor, limit }| HeadStart { views, floor, limit }),
        mode: mode.map(decode_mode).transpose()?,
        baseline: baseline.map(decode_baseline).transpose()?,
        salt,
        analysis,
        stickiness: stickiness.map(decode_stickiness).transpose()?,
        simulated,
        subject_limit,
        experiment,
        profile_features: ProfileFeatures::from_optional(profile_features, 0)?,
        approval: approval.map(|log::Approval { changes, draft_lifetime_us }| Approval { changes, draft_lifetime_us }),
    })
}

pub(super) fn decode_bounds(
    log::ArmBounds { arm_id: arm, floor, ceiling }: log::ArmBounds,
) -> DecodeResult<(ArmId, ProbabilityBounds)> {
    Ok((parse_arm_id(&arm)?, ProbabilityBounds { floor, ceiling }))
}

// A choice that only a newer version knows looks as if it were missing.

fn decode_mode(mode: log::Mode) -> DecodeResult<Mode> {
    use log::mode::Mode as In;
    Ok(match mode.mode.ok_or_else(|| DecodeError::missing("which mode"))? {
        In::On(log::NoParameters {}) => Mode::On,
        In::Shadow(log::NoParameters {}) => Mode::Shadow,
        In::Test(share) => Mode::Test(share),
    })
}

fn decode_baseline(baseline: log::Baseline) -> DecodeResult<Baseline> {
    use log::baseline::Baseline as In;
    Ok(match baseline.baseline.ok_or_else(|| DecodeError::missing("which baseline"))? {
        In::CallersOrder(log::NoParameters {}) => Baseline::CallersOrder,
        In::ArmId(arm) => Baseline::Arm(parse_arm_id(&arm)?),
        In::Uniform(log::NoParameters {}) => Baseline::Uniform,
    })
}

fn decode_stickiness(stickiness: log::Stickiness) -> DecodeResult<Stickiness> {
    use log::stickiness::Stickiness as In;
    Ok(match stickiness.stickiness.ok_or_else(|| DecodeError::missing("which stickiness"))? {
        In::Never(log::NoParameters {}) => Stickiness::Never,
        In::Session(log::NoParameters {}) => Stickiness::Session,
        In::ForUs(us) => Stickiness::For(us),
    })
}

fn decode_policy(policy: log::Policy) -> DecodeResult<Policy> {
    use log::policy::Policy as In;
    Ok(match policy.policy.ok_or_else(|| DecodeError::missing("which policy"))? {
        In::ThompsonSampling(log::NoParameters {}) => Policy::ThompsonSampling,
        In::Uniform(log::NoParameters {}) => Policy::Uniform,
        In::FixedOrder(log::NoParameters {}) => Policy::FixedOrder,
        In::Greedy(log::NoParameters {}) => Policy::Greedy,
        In::EpsilonGreedy(log::EpsilonGreedy { epsilon }) => Policy::EpsilonGreedy { epsilon },
        In::LinUcb(log::NoParameters {}) => Policy::LinUcb,
        In::SquareCb(log::SquareCb { gamma }) => Policy::SquareCb { gamma },
    })
}

pub(super) fn encode_controls(controls: &Controls) -> log::Controls {
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
    log::Controls {
        exploration: *exploration,
        floor: *floor,
        ceiling: *ceiling,
        half_life_us: *half_life_us,
        holdout: *holdout,
        freeze_learning: *freeze_learning,
        safe_choice: *safe_choice,
        policy: policy.map(encode_policy),
        exploration_preset: optional_number(*preset, 0),
        arm_bounds: arm_bounds.iter().map(|(arm, bounds)| encode_bounds(arm, *bounds)).collect(),
        warm_up: warm_up.map(|WarmUp { views, rewards, patience }| log::WarmUp { views, rewards, patience }),
        head_start: head_start.map(|HeadStart { views, floor, limit }| log::HeadStart { views, floor, limit }),
        mode: mode.map(encode_mode),
        baseline: baseline.as_ref().map(encode_baseline),
        salt: salt.clone(),
        analysis: *analysis,
        stickiness: stickiness.map(encode_stickiness),
        simulated: *simulated,
        subject_limit: *subject_limit,
        experiment: experiment.clone(),
        profile_features: optional_number(*profile_features, 0),
        approval: approval.as_ref().map(|Approval { changes, draft_lifetime_us }| log::Approval {
            changes: changes.clone(),
            draft_lifetime_us: *draft_lifetime_us,
        }),
    }
}

pub(super) fn encode_bounds(arm: &ArmId, ProbabilityBounds { floor, ceiling }: ProbabilityBounds) -> log::ArmBounds {
    log::ArmBounds { arm_id: arm.to_string(), floor, ceiling }
}

fn encode_mode(mode: Mode) -> log::Mode {
    use log::mode::Mode as Out;
    let mode = match mode {
        Mode::On => Out::On(log::NoParameters {}),
        Mode::Shadow => Out::Shadow(log::NoParameters {}),
        Mode::Test(share) => Out::Test(share),
    };
    log::Mode { mode: Some(mode) }
}

fn encode_baseline(baseline: &Baseline) -> log::Baseline {
    use log::baseline::Baseline as Out;
    let baseline = match baseline {
        Baseline::CallersOrder => Out::CallersOrder(log::NoParameters {}),
        Baseline::Arm(arm) => Out::ArmId(arm.to_string()),
        Baseline::Uniform => Out::Uniform(log::NoParameters {}),
    };
    log::Baseline { baseline: Some(baseline) }
}

fn encode_stickiness(stickiness: Stickiness) -> log::Stickiness {
    use log::stickiness::Stickiness as Out;
    let stickiness = match stickiness {
        Stickiness::Never => Out::Never(log::NoParameters {}),
        Stickiness::Session => Out::Session(log::NoParameters {}),
        Stickiness::For(us) => Out::ForUs(us),
    };
    log::Stickiness { stickiness: Some(stickiness) }
}

fn encode_policy(policy: Policy) -> log::Policy {
    use log::policy::Policy as Out;
    let policy = match policy {
        Policy::ThompsonSampling => Out::ThompsonSampling(log::NoParameters {}),
        Policy::Uniform => Out::Uniform(log::NoParameters {}),
        Policy::FixedOrder => Out::FixedOrder(log::NoParameters {}),
        Policy::Greedy => Out::Greedy(log::NoParameters {}),
        Policy::EpsilonGreedy { epsilon } => Out::EpsilonGreedy(log::EpsilonGreedy { epsilon }),
        Policy::LinUcb => Out::LinUcb(log::NoParameters {}),
        Policy::SquareCb { gamma } => Out::SquareCb(log::SquareCb { gamma }),
    };
    log::Policy { policy: Some(policy) }
}
