//! Books of one policy in one replication: its events on their way to the service, and its counts.
//!
//! Deliberately not here: the service itself, which is the engine in this process or a live server.

use std::borrow::Cow;

use slotwise::{
    bandit::ClickModel,
    engine::{Decision, DecisionRecord, IfEverybody, Request, RewardEvent, SHOWN, SlotReport, SlotStage, Subject},
    slot::{Definition, SilenceRule, SlotId},
};

use super::{
    adapted::adapted,
    clicks::DecisionRegret,
    expected_counts::ExpectedCounts,
    queue::{EventClock, EventOrigin, EventQueue, ShownSlate},
    setup::Setup,
    share_counts::counts_for_share,
    step::{EventAnswer, StepContext},
    tally::{PolicyTally, bucket},
    truth::FadedTruth,
};
use crate::{
    environment::{Environment, ShopperOutcome, Visit},
    scenario::ShopCalls,
};

/// Start of every simulation: Monday, 5 January 2026, 00:00 UTC, in microseconds since 1970.
pub const EPOCH_US: i64 = 1_767_571_200_000_000;

/// Kind of the event that confirms a message.
const EMAIL_OPEN: &str = "email_open";

/// Approximate maximum of predicted rewards that are kept of a replication.
const PREDICTIONS_KEPT: u64 = 400;

/// Books of one slot of a policy in one replication. The owner of the service reports decisions and answers to it.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    setup: &'a Setup<'a>,
    definition: &'a Definition,
    shop: ShopCalls,
    slot: SlotId,
    queue: EventQueue,
    /// The policy's counts.
    pub tally: PolicyTally,
    /// The rewards that the slot should have counted.
    expected_counts: ExpectedCounts,
    closed_until_us: f64,
    /// The time by which every event has arrived.
    latest_us: f64,
    /// Truth about each arm, averaged over the times it was shown.
    truths: Vec<FadedTruth>,
    /// The truth about what each arm would have earned in all decisions in which it could be shown.
    everybody: Vec<FadedTruth>,
    /// Regret of the policy and of uniform choice, by watched change and block.
    blocks: Vec<Vec<(f64, f64)>>,
    outcomes: Vec<ShopperOutcome>,
}

impl<'a> Agent<'a> {
    /// Returns the books of the slot that policy number `policy` has at a touchpoint. `slot` is its id at the service.
    pub(crate) fn new(
        setup: &'a Setup<'a>,
        policy: usize,
        touchpoint: usize,
        environment: &Environment<'_>,
        slot: SlotId,
    ) -> Self {
        let definition = &setup.slots[policy][touchpoint];
        Self {
            setup,
            definition,
            shop: setup.shops[policy],
            slot,
            queue: EventQueue::default(),
            tally: PolicyTally::new(setup.scenario.shoppers.segments.len(), setup.groups.len(), setup.shares.len()),
            expected_counts: ExpectedCounts::new(definition.count() as usize),
            closed_until_us: 0.0,
            latest_us: f64::INFINITY,
            truths: vec![FadedTruth::default(); environment.arms().len()],
            everybody: vec![FadedTruth::default(); environment.arms().len()],
            blocks: vec![Vec::new(); setup.changes.len()],
            outcomes: Vec::new(),
        }
    }

    /// Returns the number of arms that the policy shows.
    pub(crate) fn count(&self) -> usize {
        self.definition.count() as usize
    }

    /// Returns the slot's id.
    pub(crate) fn slot(&self) -> &SlotId {
        &self.slot
    }

    /// Holds back all events for `outage_us` from `at_us` on.
    pub(crate) fn close(&mut self, at_us: f64, outage_us: f64) {
        self.closed_until_us = self.closed_until_us.max(at_us + outage_us);
    }

    /// Lets all events in from `from_us` on.
    pub(crate) fn open(&mut self, from_us: f64) {
        self.closed_until_us = self.closed_until_us.min(from_us);
    }

    /// Makes all events arrive by `latest_us`.
    pub(crate) fn set_latest_arrival(&mut self, latest_us: f64) {
        self.latest_us = latest_us;
    }

    /// Returns the latest slot generation seen in a decision id, or 0 before the first decision. The generation grows
    /// with each reset, and a decision's id says in which generation it was made.
    pub(crate) fn generation(&self) -> u32 {
        self.expected_counts.generation()
    }

    /// Records that a reset was answered. `before` is the latest generation that was known when the reset was sent.
    pub(crate) fn reset(&mut self, before: u32) {
        if self.expected_counts.reset(before) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.truths.fill(FadedTruth::default());
        self.everybody.fill(FadedTruth::default());
    }

    /// Returns the time at which the next event arrives and is let in, or `None` without any event.
    pub(crate) fn next_us(&self) -> Option<f64> {
        self.queue.next_us().map(|at_us| at_us.max(self.closed_until_us).min(self.latest_us))
    }

    /// Takes the next event that has arrived by `by_us`, with its arrival time.
    pub(crate) fn next_by(&mut self, by_us: f64) -> Option<(RewardEvent, EventOrigin, f64)> {
        if by_us < self.closed_until_us.min(self.latest_us) {
            return None;
        }
        let queued = self.queue.next_by(if by_us < self.latest_us { by_us } else { f64::INFINITY })?;
        self.tally.events.arrived += 1;
        Some((queued.event, queued.of, queued.arrives_us.max(self.closed_until_us)))
    }

    /// Forgets all events that have not arrived.
    pub(crate) fn drop_events(&mut self) {
        self.queue.clear();
    }

    /// Records the service's answer to an event. `None` means that the service does not have the slot.
    pub(crate) fn count_answer(&mut self, of: EventOrigin, reverses: bool, answer: Option<EventAnswer>) {
        let counts = &mut self.tally.events;
        match answer {
            Some(EventAnswer::Accepted) => counts.accepted += 1,
            Some(EventAnswer::Duplicate) => counts.duplicates += 1,
            Some(EventAnswer::Late) => counts.late += 1,
            Some(EventAnswer::Unmatched) | None => counts.unmatched += 1,
            Some(EventAnswer::Rejected) => counts.rejected += 1,
        }
        self.expected_counts.count_answer(&self.setup.scenario.behaviour.steps, of, reverses, answer);
    }

    /// Returns the shop's request for a visit.
    pub(crate) fn request(&self, visit: &Visit, audited: bool) -> Request {
        let mut request = Request::new(self.slot.clone());
        request.subject = self.subject(visit);
        request.context = visit.context(&self.setup.scenario.shoppers);
        request.consent = Some(visit.shopper.consent);
        request.explain = audited;
        request
    }

    /// Returns the subject that the shop names for a visit.
    fn subject(&self, visit: &Visit) -> Subject {
        let Subject { id, session_id } = visit.known_subject(&self.setup.scenario.shoppers);
        let shared = self.shop.shared_sessions != Some(false);
        Subject {
            id: if self.shop.customer_ids == Some(false) { String::new() } else { id },
            session_id: if shared { session_id } else { visit.own_session_id() },
        }
    }

    /// Returns what the shopper did with the decision that was recorded last.
    pub(crate) fn last_outcomes(&self) -> &[ShopperOutcome] {
        &self.outcomes
    }

    /// Records a decision that is shown at `at_us` of the shop's time, and sends the shopper's reaction on its way.
    /// Returns the regret, or `None` for a decision that counts in no figure.
    pub(crate) fn decided(
        &mut self,
        step: &StepContext<'_, '_>,
        decision: &Decision,
        at_us: f64,
        clock: EventClock,
    ) -> Option<DecisionRegret> {
        let StepContext { environment, visit, truth, catalogue, by_id, .. } = *step;
        self.audit(decision);
        let decided = &decision.decided;
        if self.expected_counts.starts_new_generation(decided) {
            self.forget();
        }
        let remembered = self.expected_counts.holds(decided);
        let chosen: Vec<usize> = decided.chosen.iter().filter_map(|c| by_id.get(&c.arm).copied()).collect();
        let mut shown = Cow::Borrowed(chosen.as_slice());
        if let (false, Some(arm)) = (chosen.is_empty(), step.overridden) {
            shown.to_mut()[0] = arm;
        }
        let regret = self.count_decision(step, decided, &chosen, remembered);
        let mut outcomes = std::mem::take(&mut self.outcomes);
        outcomes.clear();
        if step.seen_after_us.is_none() {
            self.outcomes = outcomes;
            return None;
        }
        environment.outcomes(visit, truth, &shown, &catalogue.in_stock, &mut outcomes);
        if !visit.shopper.bot && step.overridden.is_none() {
            self.tally.given += (0..shown.len()).map(|place| environment.given_reward(&outcomes, place)).sum::<f64>();
        }
        if remembered {
            self.expected_counts.remember(&chosen, visit.now.index);
        }
        let window_us = self.definition.goal.window_us as f64;
        let shown = ShownSlate { visit, decided, environment, arms: &shown, window_us, at_us, clock };
        if decided.expire_us.is_some() {
            self.queue.send_seen(&self.slot, shown, EMAIL_OPEN, &mut self.tally.events);
        } else if self.definition.goal.silence == SilenceRule::Shown && !visit.shopper.bot {
            self.queue.send_seen(&self.slot, shown, SHOWN, &mut self.tally.events);
        }
        self.queue.send(self.setup.scenario, &self.slot, shown, &outcomes, &mut self.tally.events);
        self.outcomes = outcomes;
        regret
    }

    /// Compares the explained probabilities with the draw and with the logged propensity.
    fn audit(&mut self, decision: &Decision) {
        let (Some(explanation), Some(first)) = (&decision.explanation, decision.decided.chosen.first()) else { return };
        for candidate in explanation.candidates.iter().filter(|candidate| candidate.ineligible_because.is_none()) {
            let drawn = candidate.arm == first.arm;
            // The drawn arm counts under the propensity that was logged for it.
            let p = if drawn { first.propensity } else { candidate.propensity };
            self.tally.propensity(p, drawn);
            if drawn && (first.propensity - candidate.propensity).abs() > 1e-9 {
                self.tally.mismatches += 1;
            }
        }
    }

    fn count_decision(
        &mut self,
        step: &StepContext<'_, '_>,
        decided: &DecisionRecord,
        chosen: &[usize],
        remembered: bool,
    ) -> Option<DecisionRegret> {
        let StepContext { environment, visit, truth, catalogue, .. } = *step;
        let (scenario, index) = (self.setup.scenario, visit.now.index);
        self.tally.decisions += 1;
        self.tally.exploring += u64::from(decided.exploring());
        self.tally.fallbacks += u64::from(decided.fallback.is_some());
        self.tally.holdout += u64::from(decided.holdout);
        step.seen_after_us?;
        let clicks = self.definition.goal.click_model != ClickModel::None;
        let looked =
            |place: usize| if clicks { 1.0 } else { environment.reach(truth, chosen, &catalogue.in_stock, place) };
        if self.setup.needs_report && remembered {
            self.showings(step, chosen, looked);
        }
        if visit.shopper.bot || step.overridden.is_some() {
            return None;
        }
        let worth = environment.worth(truth, chosen, &catalogue.in_stock);
        let regret = step.best.0 - worth;
        let uniform = step.best.0 - step.best.1;
        let at = bucket(index, scenario.horizon);
        self.tally.buckets[at].add(worth, regret);
        self.tally.segments[visit.shopper.segment].add(worth, regret);
        self.tally.uniform_regret += uniform;
        for &arm in chosen {
            self.tally.groups[at * self.setup.groups.len() + environment.arms()[arm].group] += 1;
        }
        for (i, probe) in self.setup.shares.iter().enumerate() {
            if (probe.from..probe.until).contains(&index) && probe.segment.is_none_or(|s| s == visit.shopper.segment) {
                let counts = chosen
                    .iter()
                    .filter(|&&arm| counts_for_share(self.setup, probe, environment, catalogue, arm, index))
                    .count();
                self.tally.shares[i].0 += counts as u64;
                self.tally.shares[i].1 += chosen.len() as u64;
            }
        }
        for (probe, blocks) in self.setup.changes.iter().zip(&mut self.blocks) {
            if index < probe.after {
                continue;
            }
            let block = self::index((index - probe.after) / probe.block);
            if blocks.len() <= block {
                blocks.resize(block + 1, (0.0, 0.0));
            }
            blocks[block].0 += regret;
            blocks[block].1 += uniform;
        }
        let every = (scenario.horizon / 2 / PREDICTIONS_KEPT).max(1);
        if 2 * index >= scenario.horizon
            && index.is_multiple_of(every)
            && decided.fallback.is_none()
            && let (Some(first), Some(&arm)) = (decided.chosen.first(), chosen.first())
        {
            let is = environment.nothing() + looked(0) * (truth.expected[arm] - environment.nothing());
            self.tally.calibration.push((first.expected_reward, is));
        }
        Some(DecisionRegret { regret, uniform })
    }

    /// Adds the truth about the shown arms, faded as the slot fades its observations.
    fn showings(&mut self, step: &StepContext<'_, '_>, chosen: &[usize], looked: impl Fn(usize) -> f64) {
        let StepContext { environment, visit, truth, catalogue, .. } = *step;
        let half_life_us = self.definition.controls.half_life_us() as f64;
        let nothing = environment.nothing();
        let at_us = visit.now.at_us;
        for (place, &arm) in chosen.iter().enumerate() {
            let beyond = if catalogue.in_stock[arm] { truth.expected[arm] - nothing } else { 0.0 };
            self.truths[arm].add(at_us, half_life_us, nothing + looked(place) * beyond);
        }
        for (arm, of) in self.everybody.iter_mut().enumerate().filter(|(arm, _)| catalogue.in_stock[*arm]) {
            of.add(at_us, half_life_us, truth.expected[arm]);
        }
    }

    /// Closes the books after all events have arrived. `counted` is the reward that the slot counted, `report` the
    /// slot's report if a check needs it, and `means` the arms' expected rewards over the last shoppers.
    pub(crate) fn finish(
        mut self,
        environment: &Environment<'_>,
        counted: f64,
        report: Option<&SlotReport>,
        means: &[f64],
    ) -> PolicyTally {
        self.tally.adapted =
            self.setup.changes.iter().zip(&self.blocks).map(|(probe, blocks)| adapted(probe, blocks)).collect();
        let steps = &self.setup.scenario.behaviour.steps;
        self.tally.counted_error = self.expected_counts.error(&self.definition.goal, steps, environment, counted);
        if let Some(report) = report {
            self.compare_report(report, environment, means);
        }
        self.tally
    }

    fn compare_report(&mut self, report: &SlotReport, environment: &Environment<'_>, means: &[f64]) {
        /// Showings from which on an interval is compared with the truth.
        const SHOWINGS_MIN: u64 = 30;
        /// Probability of being the best from which on a slot is sure of an arm.
        const SURE: f64 = 0.95;
        let highest_but = |arm: usize| {
            let others = means.iter().enumerate().filter(|&(i, _)| i != arm);
            others.map(|(_, mean)| *mean).fold(f64::NEG_INFINITY, f64::max)
        };
        self.tally.says_who_wants_what = report.who_wants_what.is_some();
        if matches!(report.status.stage, SlotStage::Confident | SlotStage::Leading | SlotStage::Settled) {
            let available = report.arms.iter().filter(|said| said.available);
            let leader = available.max_by(|a, b| a.chance_best.total_cmp(&b.chance_best)).map(|said| &said.arm);
            let of = environment.arms().iter().position(|of| Some(&of.arm.id) == leader);
            self.tally.says_right_arm = of.is_some_and(|arm| means[arm] > highest_but(arm));
        }
        for (arm, of) in environment.arms().iter().enumerate() {
            let Some(said) = report.arms.iter().find(|said| said.arm == of.arm.id) else { continue };
            let FadedTruth { sum, weight, showings, .. } = self.truths[arm];
            if let Some((low, high)) = said.interval.filter(|_| showings >= SHOWINGS_MIN) {
                let truth = sum / weight;
                self.tally.covered.0 += u64::from((low..=high).contains(&truth));
                self.tally.covered.1 += 1;
            }
            self.tally.figures += u64::from(said.available);
            if let IfEverybody::Known { low, high, .. } = said.if_everybody {
                let FadedTruth { sum, weight, .. } = self.everybody[arm];
                self.tally.figures_held.0 += u64::from((low..=high).contains(&(sum / weight)));
                self.tally.figures_held.1 += 1;
            }
            self.tally.falsely_sure |= said.chance_best >= SURE && means[arm] <= highest_but(arm) + 1e-12;
        }
    }
}

/// Returns a count as an index. It is at most the horizon.
pub(super) fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
