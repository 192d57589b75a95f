//! Controls as the log holds them, both ways in one place.

use super::{
    decode::{Decode, arm_id, missing, unknown},
    log,
};
use crate::{
    bandit::Policy,
    slot::{ArmId, Baseline, Controls, ExplorationPreset, HeadStart, Mode, ProbabilityBounds, Stickiness, WarmUp},
};

pub(super) fn decode_controls(controls: log::Controls) -> Decode<Controls> {
    let log::Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p,
        stop,
        arm_shares,
        warm_up,
        head_start,
        mode: m,
        baseline: b,
        salt,
        analysis,
        stickiness: s,
        simulated,
    } = controls;
    Ok(Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy: p.map(decode_policy).transpose()?,
        preset: match stop {
            0 => None,
            1 => Some(ExplorationPreset::Cautious),
            2 => Some(ExplorationPreset::Balanced),
            3 => Some(ExplorationPreset::Curious),
            4 => Some(ExplorationPreset::EvenSplit),
            other => return Err(unknown("the exploration preset", other)),
        },
        arm_bounds: arm_shares.into_iter().map(decode_share).collect::<Decode<_>>()?,
        warm_up: warm_up.map(|log::WarmUp { views, rewards, patience }| WarmUp { views, rewards, patience }),
        head_start: head_start.map(|log::HeadStart { views, share, limit }| HeadStart { views, share, limit }),
        mode: m.map(decode_mode).transpose()?,
        baseline: b.map(decode_baseline).transpose()?,
        salt,
        analysis,
        stickiness: s.map(decode_stickiness).transpose()?,
        simulated,
    })
}

pub(super) fn decode_share(
    log::ArmShare { arm_id: arm, floor, ceiling }: log::ArmShare,
) -> Decode<(ArmId, ProbabilityBounds)> {
    Ok((arm_id(&arm)?, ProbabilityBounds { floor, ceiling }))
}

// What a newer version chose looks as if it were missing.

fn decode_mode(mode: log::Mode) -> Decode<Mode> {
    use log::mode::Mode as In;
    Ok(match mode.mode.ok_or_else(|| missing("which mode"))? {
        In::On(log::Unparameterised {}) => Mode::On,
        In::Watch(log::Unparameterised {}) => Mode::Shadow,
        In::Test(share) => Mode::Test(share),
    })
}

fn decode_baseline(baseline: log::Baseline) -> Decode<Baseline> {
    use log::baseline::Baseline as In;
    Ok(match baseline.baseline.ok_or_else(|| missing("which baseline"))? {
        In::CallersOrder(log::Unparameterised {}) => Baseline::CallersOrder,
        In::ArmId(arm) => Baseline::Arm(arm_id(&arm)?),
        In::Uniform(log::Unparameterised {}) => Baseline::Uniform,
    })
}

fn decode_stickiness(stickiness: log::Stickiness) -> Decode<Stickiness> {
    use log::stickiness::Stickiness as In;
    Ok(match stickiness.stickiness.ok_or_else(|| missing("which stickiness"))? {
        In::Never(log::Unparameterised {}) => Stickiness::Never,
        In::Session(log::Unparameterised {}) => Stickiness::Session,
        In::ForUs(us) => Stickiness::For(us),
    })
}

fn decode_policy(policy: log::Policy) -> Decode<Policy> {
    use log::policy::Policy as In;
    // One that a newer version wrote looks as if it were missing.
    Ok(match policy.policy.ok_or_else(|| missing("which policy"))? {
        In::ThompsonSampling(log::Unparameterised {}) => Policy::ThompsonSampling,
        In::Uniform(log::Unparameterised {}) => Policy::Uniform,
        In::FixedOrder(log::Unparameterised {}) => Policy::FixedOrder,
        In::Greedy(log::Unparameterised {}) => Policy::Greedy,
        In::EpsilonGreedy(log::EpsilonGreedy { epsilon }) => Policy::EpsilonGreedy { epsilon },
        In::LinUcb(log::Unparameterised {}) => Policy::LinUcb,
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
    log::Controls {
        exploration: *exploration,
        floor: *floor,
        ceiling: *ceiling,
        half_life_us: *half_life_us,
        holdout: *holdout,
        freeze_learning: *freeze_learning,
        safe_choice: *safe_choice,
        policy: p.map(encode_policy),
        stop: match preset {
            None => 0,
            Some(ExplorationPreset::Cautious) => 1,
            Some(ExplorationPreset::Balanced) => 2,
            Some(ExplorationPreset::Curious) => 3,
            Some(ExplorationPreset::EvenSplit) => 4,
        },
        arm_shares: arm_bounds.iter().map(|(arm, of)| encode_share(arm, *of)).collect(),
        warm_up: warm_up.map(|WarmUp { views, rewards, patience }| log::WarmUp { views, rewards, patience }),
        head_start: head_start.map(|HeadStart { views, share, limit }| log::HeadStart { views, share, limit }),
        mode: m.map(encode_mode),
        baseline: b.as_ref().map(encode_baseline),
        salt: salt.clone(),
        analysis: *analysis,
        stickiness: s.map(encode_stickiness),
        simulated: *simulated,
    }
}

pub(super) fn encode_share(arm: &ArmId, ProbabilityBounds { floor, ceiling }: ProbabilityBounds) -> log::ArmShare {
    log::ArmShare { arm_id: arm.to_string(), floor, ceiling }
}

fn encode_mode(mode: Mode) -> log::Mode {
    use log::mode::Mode as Out;
    let mode = match mode {
        Mode::On => Out::On(log::Unparameterised {}),
        Mode::Shadow => Out::Watch(log::Unparameterised {}),
        Mode::Test(share) => Out::Test(share),
    };
    log::Mode { mode: Some(mode) }
}

fn encode_baseline(baseline: &Baseline) -> log::Baseline {
    use log::baseline::Baseline as Out;
    let baseline = match baseline {
        Baseline::CallersOrder => Out::CallersOrder(log::Unparameterised {}),
        Baseline::Arm(arm) => Out::ArmId(arm.to_string()),
        Baseline::Uniform => Out::Uniform(log::Unparameterised {}),
    };
    log::Baseline { baseline: Some(baseline) }
}

fn encode_stickiness(stickiness: Stickiness) -> log::Stickiness {
    use log::stickiness::Stickiness as Out;
    let stickiness = match stickiness {
        Stickiness::Never => Out::Never(log::Unparameterised {}),
        Stickiness::Session => Out::Session(log::Unparameterised {}),
        Stickiness::For(us) => Out::ForUs(us),
    };
    log::Stickiness { stickiness: Some(stickiness) }
}

fn encode_policy(policy: Policy) -> log::Policy {
    use log::policy::Policy as Out;
    let policy = match policy {
        Policy::ThompsonSampling => Out::ThompsonSampling(log::Unparameterised {}),
        Policy::Uniform => Out::Uniform(log::Unparameterised {}),
        Policy::FixedOrder => Out::FixedOrder(log::Unparameterised {}),
        Policy::Greedy => Out::Greedy(log::Unparameterised {}),
        Policy::EpsilonGreedy { epsilon } => Out::EpsilonGreedy(log::EpsilonGreedy { epsilon }),
        Policy::LinUcb => Out::LinUcb(log::Unparameterised {}),
        Policy::SquareCb { gamma } => Out::SquareCb(log::SquareCb { gamma }),
    };
    log::Policy { policy: Some(policy) }
}
