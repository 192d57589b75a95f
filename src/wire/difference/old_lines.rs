//! A definition as lines of a path and a value.

use std::collections::HashMap;

use super::super::time::{duration_text, time_text};
use crate::{
    bandit::{Expansion, LinearSpec, Link, ModelSpec, Policy, PortfolioSpec, Sharing, Value},
    slot::{
        Arm, Baseline, Comparand, Controls, Definition, Effect, ExplorationPreset, Goal, HeadStart, Mode, Named as _,
        ProbabilityBounds, RewardKind, Rule, Schedule, Stickiness, Unavailable, WarmUp,
    },
};

/// Lines in the order of the document; each path once.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Lines {
    #[expect(clippy::needless_pass_by_value, reason = "it is read best where it is called, of which there are many")]
    fn add(&mut self, path: impl Into<String>, value: impl ToString) {
        let path = path.into();
        self.places.insert(path.clone(), self.lines.len());
        self.lines.push((path, value.to_string()));
    }

    fn add_some(&mut self, path: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(path, value);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(path, value)| (path.as_str(), value.as_str()))
    }

    /// Where a path stands.
    pub(super) fn place(&self, path: &str) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// All of a definition but its arms.
    pub(super) fn of(definition: &Definition) -> Self {
        let Definition {
            id,
            display_name,
            kind,
            arms: _,
            open_catalogue,
            default_arm,
            count,
            goal,
            model,
            controls,
            default_consent,
            rules,
        } = definition;
        let mut lines = Self::default();
        lines.add("slot_id", id);
        lines.add_some("display_name", Some(display_name).filter(|name| !name.is_empty()));
        lines.add("kind", kind.name());
        lines.add("open_catalogue", open_catalogue);
        lines.add_some("default_arm_id", default_arm.as_ref());
        lines.add_some("count", *count);
        lines.add("default_consent", default_consent.name());
        lines.goal(goal);
        lines.model(model);
        lines.controls(controls);
        for rule in rules {
            lines.rule(rule);
        }
        if rules.len() > 1 {
            let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
            lines.add("rules", names.join(", "));
        }
        lines
    }

    fn goal(&mut self, goal: &Goal) {
        let Goal {
            kinds,
            default_reward,
            window_us,
            aggregation,
            learning,
            click_model,
            grace_period_us,
            reversal_window_us,
        } = goal;
        for RewardKind { kind, weight, use_value, cap, winsorize } in kinds {
            let path = |field: &str| format!("goal.kinds[{kind:?}].{field}");
            self.add(path("weight"), weight);
            self.add(path("use_value"), use_value);
            self.add_some(&path("cap"), *cap);
            self.add_some(&path("winsorize"), *winsorize);
        }
        self.add("goal.default_reward", default_reward);
        self.add("goal.window", duration_text(*window_us));
        self.add("goal.aggregation", aggregation.name());
        self.add("goal.learning", learning.name());
        self.add("goal.click_model", click_model.name());
        self.add_some("goal.grace_period", grace_period_us.map(duration_text));
        self.add_some("goal.reversal_window", reversal_window_us.map(duration_text));
    }

    fn model(&mut self, model: &ModelSpec) {
        let mut add = |field: &str, value: String| self.add(format!("model.{}.{field}", model.name()), value);
        match *model {
            ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes }) => {
                add("dimension_budget", dimension_budget.to_string());
                add("compute_budget", compute_budget.to_string());
                add("detect_changes", detect_changes.to_string());
            }
            ModelSpec::Linear(LinearSpec { link, expansion, sharing, prior_precision, dimension_budget }) => {
                add("prior_precision", prior_precision.to_string());
                add("dimension_budget", dimension_budget.to_string());
                let link = match link {
                    None => "by the goal",
                    Some(Link::Identity) => "identity",
                    Some(Link::Logit) => "logit",
                };
                add("link", link.to_owned());
                let expansion = match expansion {
                    Expansion::None => "none",
                    Expansion::Interactions => "interactions",
                    Expansion::Fourier => "fourier",
                };
                add("expansion", expansion.to_owned());
                let sharing = match sharing {
                    None => "by the number of arms",
                    Some(Sharing::Disjoint) => "disjoint",
                    Some(Sharing::Opposed) => "opposed",
                    Some(Sharing::Shared) => "shared",
                };
                add("sharing", sharing.to_owned());
            }
            ModelSpec::BetaBernoulli { prior_a, prior_b } => {
                add("prior_a", prior_a.to_string());
                add("prior_b", prior_b.to_string());
            }
            ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
                add("prior_mean", prior_mean.to_string());
                add("prior_strength", prior_strength.to_string());
                add("prior_shape", prior_shape.to_string());
                add("prior_scale", prior_scale.to_string());
            }
        }
    }

    fn controls(&mut self, controls: &Controls) {
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
        } = controls;
        self.add_some("controls.exploration", *exploration);
        self.add_some("controls.exploration_stop", preset.map(ExplorationPreset::name));
        self.add_some("controls.floor", *floor);
        self.add_some("controls.ceiling", *ceiling);
        for (arm, ProbabilityBounds { floor, ceiling }) in arm_bounds {
            let path = |field: &str| format!("controls.arm_shares[{:?}].{field}", arm.as_str());
            self.add_some(&path("floor"), *floor);
            self.add_some(&path("ceiling"), *ceiling);
        }
        self.add_some("controls.half_life", half_life_us.map(duration_text));
        self.add_some("controls.holdout", *holdout);
        self.add_some("controls.salt", salt.as_ref());
        self.add_some("controls.analysis", *analysis);
        self.add_some("controls.baseline", baseline.as_ref().map(baseline_text));
        self.add_some("controls.mode", mode.map(mode_text));
        self.add_some("controls.stickiness", stickiness.map(stickiness_text));
        if let Some(WarmUp { views, rewards, patience }) = warm_up {
            self.add("controls.warm_up.views", views);
            self.add("controls.warm_up.rewards", rewards);
            self.add_some("controls.warm_up.patience", *patience);
        }
        if let Some(HeadStart { views, share, limit }) = head_start {
            self.add("controls.head_start.views", views);
            self.add("controls.head_start.share", share);
            self.add("controls.head_start.limit", limit);
        }
        self.add_some("controls.freeze_learning", *freeze_learning);
        self.add_some("controls.safe_choice", *safe_choice);
        self.add_some("controls.simulated", *simulated);
        self.add_some("controls.policy", policy.map(policy_text));
    }

    fn rule(&mut self, rule: &Rule) {
        let Rule { name, when, effect, on_error, paused } = rule;
        let path = |field: &str| format!("rules[{name:?}].{field}");
        self.add(path("when"), if when.is_empty() { "always" } else { when });
        let mut add = |field: &str, value: String| self.add(path(field), value);
        match effect {
            Effect::Exclude => add("exclude", "true".to_owned()),
            Effect::Evidence { confidence, than } => {
                add("evidence.confidence", confidence.to_string());
                match than {
                    Comparand::Reward(reward) => add("evidence.reward", reward.to_string()),
                    Comparand::Others => add("evidence.others", "true".to_owned()),
                }
            }
            Effect::Pin { position } => add("pin.position", position.to_string()),
            Effect::Boost { factor } => add("boost.factor", factor.to_string()),
            Effect::ProbabilityBounds { min, max } => {
                if let Some(min) = min {
                    add("share.min", min.to_string());
                }
                if let Some(max) = max {
                    add("share.max", max.to_string());
                }
            }
            Effect::SubjectCap { count, window_us, together } => {
                add("subject_cap.count", count.to_string());
                add("subject_cap.window", duration_text(*window_us));
                add("subject_cap.together", together.to_string());
            }
            Effect::DayCap { count, together } => {
                add("day_cap.count", count.to_string());
                add("day_cap.together", together.to_string());
            }
            Effect::Quota { attribute, top, min_values, max_per_value } => {
                add("quota.attribute", attribute.clone());
                add("quota.top", top.to_string());
                if let Some(least) = min_values {
                    add("quota.min_values", least.to_string());
                }
                if let Some(most) = max_per_value {
                    add("quota.max_per_value", most.to_string());
                }
            }
            Effect::MaxMoves { positions } => add("max_moves.positions", positions.to_string()),
        }
        self.add(path("on_error"), on_error.name());
        self.add(path("paused"), paused);
    }
}

fn mode_text(mode: Mode) -> String {
    match mode {
        Mode::On | Mode::Shadow => mode.name().to_owned(),
        Mode::Test(share) => format!("{}, share {share}", mode.name()),
    }
}

fn baseline_text(baseline: &Baseline) -> String {
    match baseline {
        Baseline::CallersOrder => "callers_order".to_owned(),
        Baseline::Arm(arm) => format!("arm_id {arm}"),
        Baseline::Uniform => "uniform".to_owned(),
    }
}

fn stickiness_text(stickiness: Stickiness) -> String {
    match stickiness {
        Stickiness::Never => "never".to_owned(),
        Stickiness::Session => "session".to_owned(),
        Stickiness::For(us) => format!("for {}", duration_text(us)),
    }
}

fn policy_text(policy: Policy) -> String {
    match policy {
        Policy::EpsilonGreedy { epsilon } => format!("{}, epsilon {epsilon}", policy.name()),
        Policy::SquareCb { gamma } => format!("{}, gamma {gamma}", policy.name()),
        Policy::ThompsonSampling | Policy::Uniform | Policy::FixedOrder | Policy::Greedy | Policy::LinUcb => {
            policy.name().to_owned()
        }
    }
}

/// An arm's own lines.
pub(super) fn arm_lines(arm: &Arm) -> Lines {
    let Arm { id, attributes, available, payload, because, schedule: Schedule { from_us, until_us } } = arm;
    let path = |field: &str| format!("arms[{:?}].{field}", id.as_str());
    let mut lines = Lines::default();
    lines.add(path("available"), available);
    lines.add_some(&path("unavailable_because"), because.map(because_text));
    lines.add_some(&path("schedule.from"), from_us.map(time_text));
    lines.add_some(&path("schedule.until"), until_us.map(time_text));
    for (name, value) in attributes {
        lines.add(path(&format!("attributes[{name:?}]")), value_text(value));
    }
    lines.add_some(&path("payload"), payload.as_ref().and_then(|payload| serde_json::to_string(payload).ok()));
    lines
}

fn because_text(because: Unavailable) -> &'static str {
    match because {
        Unavailable::Paused => "paused",
        Unavailable::OutOfStock => "out_of_stock",
    }
}

/// An arm that came or went, in a word or two.
pub(super) fn arm_summary(arm: &Arm) -> String {
    let available = match (arm.available, arm.because) {
        (true, _) => "available",
        (false, None) => "not available",
        (false, Some(because)) => because_text(because),
    };
    match arm.attributes.len() {
        0 => available.to_owned(),
        1 => format!("{available}, 1 attribute"),
        many => format!("{available}, {many} attributes"),
    }
}

fn value_text(value: &Value) -> String {
    fn list(values: impl Iterator<Item = String>) -> String {
        format!("[{}]", values.collect::<Vec<_>>().join(", "))
    }
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
        Value::Flag(flag) => flag.to_string(),
        Value::Texts(texts) => list(texts.iter().map(|text| format!("{text:?}"))),
        Value::Vector(numbers) => list(numbers.iter().map(ToString::to_string)),
    }
}
