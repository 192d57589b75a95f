//! Several models of one slot, each weighted by how well it foresaw.

use serde::{Deserialize, Serialize};

use super::{
    encoder::Row,
    learner::Coder,
    linear::{LinearDesign, Sharing},
    model::{Design, Model, Revision},
    score::Forecast,
    spec::{MemberSpec, ModelSpec, Setting},
};
use crate::stats::SparseVector;

/// No model falls further behind the best in log evidence, nats: so one whose time has come takes over within
/// tens of decisions, however long it was wrong.
const GAP_MAX: f64 = 30.0;
/// A model that is given to a slot later starts this far behind the best, nats.
const LATE: f64 = 5.0;
/// A weight below this is not worth its cost in a decision, nor a challenger of its model.
pub(super) const NEGLIGIBLE: f64 = 0.01;

/// A change of the world is told from chance once it is so much likelier, nats.
const ALARM: f64 = 10.0;
/// The change that is watched for: the odds of a reward fall to e⁻³ of what the models expect; or the reward by one
/// standard deviation, where it is no rate. Models are overconfident, by less than that.
const DROP: (f64, f64) = (3.0, 1.0);
/// A rate is never taken to have been expected to be greater: nothing is that certain.
const EXPECTED_MAX: f64 = 0.97;
/// Observations before models are held to what they expect.
const CALIBRATED: u64 = 200;
/// Only rewards of which at most so many decisions (and a hundredth of all observations so far) were made before
/// they were learned tell of a change: the best guesses of a policy that could not hear turn out worse than
/// foreseen, all at once when its rewards come in a batch, and nothing has changed.
const LAG: (u64, u64) = (20, 100);
/// What one observation may speak for or against a challenger, nats.
const STEP: f64 = 2.0;
/// A challenger has won, or lost, when it is so far ahead or behind, nats.
const DECIDED: f64 = 15.0;

/// A model with its evidence. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) spec: MemberSpec,
    /// The index of its coder.
    pub(super) coder: usize,
    pub(super) model: Model,
    /// Log evidence, nats, relative to the best: 0 or below.
    evidence: f64,
    /// The takeover that put the model in its place; 0: none.
    takeover: u32,
    /// The challenger that it was; 0: none.
    was: u32,
}

/// Fresh models that learn from what is new only, since the world seems to have changed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Challenger {
    id: u32,
    /// How much better than the incumbents it foresaw since its birth, nats.
    lead: f64,
    /// Of which members: index, fresh model and its evidence.
    models: Vec<(usize, Model, f64)>,
}

/// What an observation leaves with whoever may revise it. *Persisted* (inside pending decisions).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The arm's fading so far, as a logarithm.
    #[serde(with = "crate::stats::compact")]
    pub(super) ln_retained: f64,
    /// How much of an observation it was.
    #[serde(with = "crate::stats::compact")]
    pub(super) weight: f64,
    takeovers: u32,
    challenger: u32,
    /// What each member expected; none: it was not told.
    forecasts: Vec<Option<Forecast>>,
}

impl Mark {
    /// With the arm's fading so far, as a logarithm.
    pub(super) fn faded(self, ln_retained: f64) -> Self {
        Self { ln_retained, ..self }
    }
}

/// All models of a slot, which of them decide, and a challenger. *Persisted.*
///
/// Evidence is prequential: the log predictive density of each reward before it is learned, added up, faded by
/// the slot's half-life, never more than [`GAP_MAX`] apart; a model's weight is in proportion to its exponential.
///
/// A change of the world is found by Page's test for rewards that stay far below what the models that decide expect.
/// Then a challenger is born: fresh models that learn from nothing but what comes from then on. It and the
/// incumbents share the decisions by how well each foresees; once one is far ahead the other is dropped. If it is
/// the incumbents, what they knew is gone, which is the point; if it was a false alarm, nothing is.
///
/// # Source
///
/// Dawid, "The Prequential Approach" (1984), §4. Page, "Continuous Inspection Schemes" (1954), §2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Portfolio {
    pub(super) members: Vec<Member>,
    deciding: Vec<usize>,
    challenger: Option<Challenger>,
    /// Page's statistic, nats: how much likelier a drop of the rewards is than none.
    alarm: f64,
    takeovers: u32,
    challengers: u32,
    /// How many observations were learned.
    observations: u64,
    /// How many of them when the last challenger was born.
    since: u64,
}

/// What an observation is.
#[derive(Clone, Copy)]
pub(super) struct Observation<'a> {
    pub(super) arm: u32,
    /// How many arms were ever observed, this one among them.
    pub(super) arms: usize,
    /// One per coder.
    pub(super) rows: &'a [Row],
    pub(super) y: f64,
    /// How much of an observation it is, (0, 1].
    pub(super) weight: f64,
    pub(super) unit: bool,
    /// Decisions that were made since the arm was shown.
    pub(super) lag: u64,
    /// Whether to watch for changes.
    pub(super) detect: bool,
    /// What time has left of the evidence since the observation before.
    pub(super) retained: f64,
}

/// How an observation's reward changed.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    /// The reward so far.
    pub(super) y: f64,
    pub(super) delta: f64,
    pub(super) mark: &'a Mark,
    /// What fading has left of the observation.
    pub(super) retained: f64,
}

/// `ln Σ exp` of pairs of log weight and log score, over that of the weights alone.
fn ln_mixture(parts: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let ln_sum = |values: &mut dyn Iterator<Item = f64>| {
        let values: Vec<f64> = values.collect();
        let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + values.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
    };
    ln_sum(&mut parts.clone().map(|(weight, score)| weight + score)) - ln_sum(&mut parts.map(|(weight, _)| weight))
}

/// The row of a model: none for one without features.
pub(super) fn expand(model: &Model, coder: &Coder, row: &Row) -> SparseVector {
    match model {
        Model::Linear(linear) => linear.expand(coder.encoder(), row),
        Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. } => SparseVector::default(),
    }
}

impl Member {
    /// Whether it has anything to say of a slot that learned of so many arms.
    pub(super) fn applies(&self, arms: usize) -> bool {
        match (&self.model, self.spec.design) {
            (_, Design::Linear(LinearDesign { sharing: Sharing::Opposed, .. })) if arms > 2 => false,
            (Model::Linear(linear), _) => linear.adds(),
            (Model::BetaBernoulli { .. } | Model::NormalInverseGamma { .. }, _) => true,
        }
    }

    /// Whether the model in its place learned the observation of this mark.
    fn knows(&self, mark: &Mark) -> bool {
        mark.takeovers >= self.takeover || (self.was > 0 && self.was == mark.challenger)
    }
}

impl Portfolio {
    /// Of no models.
    pub(super) fn new() -> Self {
        Self {
            members: Vec::new(),
            deciding: Vec::new(),
            challenger: None,
            alarm: 0.0,
            takeovers: 0,
            challengers: 0,
            observations: 0,
            since: 0,
        }
    }

    /// Lets the models of a specification decide; those it does not have yet start from their priors. `coder` finds
    /// the index of the coder for a model.
    pub(super) fn decide_by(&mut self, spec: &ModelSpec, setting: Setting, mut coder: impl FnMut(Design) -> usize) {
        let wanted = spec.members(setting);
        let first = self.members.is_empty();
        let mut deciding = Vec::with_capacity(wanted.len());
        for spec in wanted {
            let have = self.members.iter().position(|member| member.spec == spec);
            deciding.push(have.unwrap_or_else(|| {
                self.members.push(Member {
                    spec,
                    coder: coder(spec.design),
                    model: Model::new(spec.design),
                    evidence: if first { 0.0 } else { -LATE },
                    takeover: self.takeovers,
                    was: 0,
                });
                self.members.len() - 1
            }));
        }
        if deciding != self.deciding {
            self.challenger = None;
            self.deciding = deciding;
        }
    }

    /// How many models there would be if this specification decided.
    pub(super) fn count_with(&self, spec: &ModelSpec, setting: Setting) -> usize {
        let fresh = |wanted: &MemberSpec| self.members.iter().all(|member| member.spec != *wanted);
        self.members.len() + spec.members(setting).iter().filter(|wanted| fresh(wanted)).count()
    }

    /// Meets a row of each coder.
    fn meet(&mut self, coders: &[Coder], rows: &[Row]) {
        let challenger = self.challenger.iter_mut().flat_map(|c| &mut c.models).map(|(i, model, _)| (*i, model));
        let of: Vec<usize> = self.members.iter().map(|member| member.coder).collect();
        let all = self.members.iter_mut().map(|member| &mut member.model).enumerate().chain(challenger);
        for (i, model) in all {
            if let (Model::Linear(linear), Some(coder), Some(row)) = (model, coders.get(of[i]), rows.get(of[i])) {
                linear.meet(coder.encoder(), row);
            }
        }
    }

    /// Brings back what snapshots leave out.
    pub(super) fn rebuild(&mut self, coders: &[Coder]) {
        let of: Vec<usize> = self.members.iter().map(|member| member.coder).collect();
        let challenger = self.challenger.iter_mut().flat_map(|c| &mut c.models).map(|(i, model, _)| (*i, model));
        for (i, model) in self.members.iter_mut().map(|member| &mut member.model).enumerate().chain(challenger) {
            if let (Model::Linear(linear), Some(coder)) = (model, coders.get(of[i])) {
                linear.rebuild(coder.encoder());
            }
        }
    }

    /// Every model learns the observation; returns what its revision will need, but for the fading.
    pub(super) fn observe(&mut self, coders: &[Coder], seen: Observation<'_>) -> Mark {
        let Observation { arm, rows, y, weight, unit, .. } = seen;
        self.meet(coders, rows);
        let mut forecasts = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            if !member.applies(seen.arms) || member.coder >= rows.len() {
                forecasts.push(None);
                continue;
            }
            let x = expand(&member.model, &coders[member.coder], &rows[member.coder]);
            forecasts.push(Some(member.model.forecast(arm, &x, unit).seen(weight)));
            member.model.observe(arm, &x, y, weight);
        }
        let score = |i: usize| forecasts[i].map(|f| f.ln_score(y));
        let told = self.deciding.iter().filter_map(|&i| Some((self.members[i].evidence, score(i)?)));
        let of_incumbents = if told.clone().next().is_some() { ln_mixture(told) } else { 0.0 };
        for (i, member) in self.members.iter_mut().enumerate() {
            member.evidence = member.evidence * seen.retained + score(i).unwrap_or(0.0);
        }
        self.settle_evidence(Some(&forecasts));
        self.observations += 1;
        if seen.detect {
            self.challenge(coders, seen, &forecasts, of_incumbents);
        } else {
            self.challenger = None;
        }
        let challenger = self.challenger.as_ref().map_or(0, |c| c.id);
        Mark { ln_retained: 0.0, weight, takeovers: self.takeovers, challenger, forecasts }
    }

    /// Evidence relative to the best of those that decide, within the gap. One that had nothing to say keeps up
    /// with the first, so that it starts level when it has.
    fn settle_evidence(&mut self, forecasts: Option<&[Option<Forecast>]>) {
        let spoke = |i: usize| forecasts.is_none_or(|forecasts| forecasts[i].is_some());
        let Some(level) = self.deciding.first().map(|&i| self.members[i].evidence) else { return };
        let deciding = self.deciding.iter().filter(|&&i| spoke(i)).map(|&i| self.members[i].evidence);
        let top = deciding.fold(f64::NEG_INFINITY, f64::max);
        let top = if top.is_finite() { top } else { level };
        for (i, member) in self.members.iter_mut().enumerate() {
            let evidence = if spoke(i) { member.evidence } else { level };
            member.evidence = (evidence - top).clamp(-GAP_MAX, 0.0);
        }
    }

    /// Watches for a change of the world, and lets a challenger learn and compete while there is one.
    fn challenge(
        &mut self,
        coders: &[Coder],
        seen: Observation<'_>,
        forecasts: &[Option<Forecast>],
        of_incumbents: f64,
    ) {
        let prompt = seen.lag <= LAG.0 + self.observations / LAG.1;
        let Some(challenger) = &mut self.challenger else {
            return if prompt {
                self.watch(seen, forecasts);
            };
        };
        let mut parts = Vec::with_capacity(challenger.models.len());
        for (i, model, evidence) in &mut challenger.models {
            // A decision from before its coder was made has no row for it.
            let coder = self.members[*i].coder;
            let Some(row) = seen.rows.get(coder) else { continue };
            let x = expand(model, &coders[coder], row);
            let score = model.forecast(seen.arm, &x, seen.unit).seen(seen.weight).ln_score(seen.y);
            model.observe(seen.arm, &x, seen.y, seen.weight);
            parts.push((*evidence, score));
            *evidence += score;
        }
        let top = challenger.models.iter().map(|m| m.2).fold(f64::NEG_INFINITY, f64::max);
        for (_, _, evidence) in &mut challenger.models {
            *evidence = (*evidence - top).max(-GAP_MAX);
        }
        if !prompt || parts.is_empty() {
            return;
        }
        challenger.lead += (ln_mixture(parts.into_iter()) - of_incumbents).clamp(-STEP, STEP);
        if challenger.lead >= DECIDED {
            self.take_over();
        } else if challenger.lead <= -DECIDED {
            self.challenger = None;
        }
    }

    /// Page's test, of the mean that the models expected together.
    fn watch(&mut self, seen: Observation<'_>, forecasts: &[Option<Forecast>]) {
        if self.observations - self.since < CALIBRATED {
            return;
        }
        let told = self.deciding.iter().filter_map(|&i| Some((self.members[i].evidence.exp(), forecasts[i]?)));
        let Some(expected) = Forecast::mixture(told) else { return };
        self.alarm = (self.alarm + expected.ln_drop(seen.y, DROP, EXPECTED_MAX)).max(0.0);
        if self.alarm < ALARM {
            return;
        }
        (self.alarm, self.since) = (0.0, self.observations);
        self.challengers += 1;
        let worth = |&(i, weight): &(usize, f64)| weight >= NEGLIGIBLE || Some(&i) == self.deciding.first();
        let weights = self.weights(seen.arms);
        let models =
            weights.iter().filter(|w| worth(w)).map(|&(i, _)| (i, Model::new(self.members[i].spec.design), 0.0));
        self.challenger = Some(Challenger { id: self.challengers, lead: 0.0, models: models.collect() });
    }

    /// The challenger's models take the places of the incumbents; those it has none for start anew.
    fn take_over(&mut self) {
        let Some(challenger) = self.challenger.take() else { return };
        self.takeovers += 1;
        for &i in &self.deciding {
            let member = &mut self.members[i];
            (member.takeover, member.was) = (self.takeovers, 0);
            (member.model, member.evidence) = (Model::new(member.spec.design), -LATE);
        }
        for (i, model, evidence) in challenger.models {
            let member = &mut self.members[i];
            (member.model, member.evidence, member.was) = (model, evidence, challenger.id);
        }
    }

    /// The reward of an observation changed by `delta` from `y`; `retained` is what fading has left of it.
    pub(super) fn revise(&mut self, coders: &[Coder], arm: u32, rows: &[Row], change: Change<'_>) {
        let Change { y, delta, mark, retained } = change;
        for (member, forecast) in self.members.iter_mut().zip(&mark.forecasts) {
            let Some(forecast) = forecast.filter(|_| member.knows(mark)) else { continue };
            let retained = retained.powi(i32::try_from(member.spec.haste).unwrap_or(1));
            let x = expand(&member.model, &coders[member.coder], &rows[member.coder]);
            member.model.revise(arm, &x, Revision { y, delta, weight: mark.weight, retained });
            member.evidence += retained * (forecast.ln_score(y + delta) - forecast.ln_score(y));
        }
        self.settle_evidence(None);
        for challenger in self.challenger.iter_mut().filter(|c| c.id == mark.challenger) {
            for (i, model, _) in &mut challenger.models {
                let coder = self.members[*i].coder;
                let Some(row) = rows.get(coder) else { continue };
                let x = expand(model, &coders[coder], row);
                model.revise(arm, &x, Revision { y, delta, weight: mark.weight, retained });
            }
        }
    }

    /// See [`Model::forget`].
    pub(super) fn forget(&mut self, arm: u32, retained: f64, portion: f64) {
        for member in &mut self.members {
            let haste = i32::try_from(member.spec.haste).unwrap_or(1);
            member.model.forget(arm, retained.powi(haste).max(f64::MIN_POSITIVE), portion);
        }
        for (_, model, _) in self.challenger.iter_mut().flat_map(|c| &mut c.models) {
            model.forget(arm, retained, portion);
        }
    }

    /// The weights of those that decide and have something to say, adding up to 1.
    fn weights(&self, arms: usize) -> Vec<(usize, f64)> {
        let can = self.deciding.iter().filter(|&&i| self.members[i].applies(arms));
        let mut weights: Vec<(usize, f64)> = can.map(|&i| (i, self.members[i].evidence.exp())).collect();
        if weights.is_empty() {
            weights.extend(self.deciding.first().map(|&i| (i, 1.0)));
        }
        let total: f64 = weights.iter().map(|w| w.1).sum();
        for (_, weight) in &mut weights {
            *weight /= total;
        }
        weights
    }

    /// Who decides, with what weight: members, and the challenger's models with their members. Negligible
    /// weights are left out, so they need not add up to 1.
    pub(super) fn deciders(&self, arms: usize) -> Vec<(f64, &Member, &Model)> {
        let challenger = self.challenger.as_ref();
        let share = challenger.map_or(0.0, |c| 1.0 / (1.0 + (-c.lead).exp()));
        let share = if share < NEGLIGIBLE { 0.0 } else { share };
        let mut deciders: Vec<(f64, &Member, &Model)> = Vec::new();
        for (i, weight) in self.weights(arms) {
            deciders.push(((1.0 - share) * weight, &self.members[i], &self.members[i].model));
        }
        if let Some(challenger) = challenger.filter(|_| share > 0.0) {
            let total: f64 = challenger.models.iter().map(|m| m.2.exp()).sum();
            for (i, model, evidence) in &challenger.models {
                deciders.push((share * evidence.exp() / total, &self.members[*i], model));
            }
        }
        deciders.sort_by(|a, b| b.0.total_cmp(&a.0));
        let negligible = deciders.iter().position(|d| d.0 < NEGLIGIBLE).unwrap_or(deciders.len());
        deciders.truncate(negligible.max(1));
        deciders
    }

    /// How often a challenger took over.
    pub(super) fn takeovers(&self) -> u32 {
        self.takeovers
    }
}

#[cfg(test)]
mod tests;
