//! The parts of a run that all replications share.

use slotwise::slot::Definition;

use super::{clicks::ClickProbe, tally::BUCKETS};
use crate::{
    environment::groups,
    scenario::{
        ArmState, Check, DriftCourse, EventReports, FaultKind, IntentStart, Metric, Problem, Scenario, ShopCalls,
        change_point, slots, time::When,
    },
};

/// Part of uniform choice's regret below which a block counts as adapted, unless the check says otherwise.
const WITHIN: f64 = 0.5;
/// Part of the horizon from which on decisions are counted by clicks, unless the check says otherwise. Before it slots
/// still learn what shoppers like.
const CLICKS_FROM: f64 = 0.5;
/// Maximum of launches and retirements with a mark.
const LAUNCHES_MARKED_MAX: usize = 8;

/// The parts of a run that all replications share.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The seed of all randomness.
    pub seed: u64,
    /// The slot of the scenario. Its goal defines the rewards.
    pub slot: Definition,
    /// The first slot of each policy, without arms.
    pub policies: Vec<Definition>,
    /// All slots of each policy, one for each touchpoint, without arms.
    pub slots: Vec<Vec<Definition>>,
    /// The way in which the shop calls each policy's service. Nothing is left unsaid.
    pub shops: Vec<ShopCalls>,
    /// Names of the arms or groups of arms that the report tells shares of: see [`groups`].
    pub groups: Vec<String>,
    /// The shares that checks watch.
    pub shares: Vec<ShareProbe<'a>>,
    /// The changes that checks watch.
    pub changes: Vec<AdaptProbe>,
    /// The measurements of regret by clicks: the report's own, which are [`REPORTED_PROBES`], and those of checks. Empty
    /// if the scenario has neither touchpoints nor such checks.
    pub clicks: Vec<ClickProbe>,
    /// Moments that get a mark on time axes.
    pub marks: Vec<(When, String)>,
    /// True if a check needs the slot's report about its arms.
    pub needs_report: bool,
}

/// A share that a check watches. An arm counts if it matches every field that is not `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareProbe<'a> {
    /// The arm's id.
    pub arm: Option<&'a str>,
    /// An attribute of the arm.
    pub attribute: Option<&'a str>,
    /// The arm's state.
    pub state: Option<ArmState>,
    /// The segment's index.
    pub segment: Option<usize>,
    /// The first decision that counts.
    pub from: u64,
    /// The first decision that no longer counts.
    pub until: u64,
}

/// A change that a check watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptProbe {
    /// The first decision after the change.
    pub after: u64,
    /// Number of decisions in a block.
    pub block: u64,
    /// The part of uniform choice's regret below which a block counts as adapted.
    pub within: f64,
}

fn index(part: f64, horizon: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the horizon")]
    let index = (part * horizon as f64).ceil() as u64;
    index.min(horizon)
}

impl<'a> Setup<'a> {
    /// Returns the setup of a scenario that has passed its check.
    ///
    /// # Errors
    ///
    /// Returns an error if the slot of the scenario or of a policy is invalid, which does not happen after loading.
    pub fn new(scenario: &'a Scenario, seed: u64) -> Result<Self, Problem> {
        let shops: Vec<ShopCalls> = scenario.policies.iter().map(|policy| shop(scenario, policy.shop)).collect();
        let slots = scenario.policies.iter().zip(&shops).map(|(policy, shop)| {
            let mut slots = slots::definitions(scenario, policy)?;
            if shop.events == Some(EventReports::Shopper) {
                // Simulated shoppers have profiles of their own, which only slots for simulated traffic use.
                for slot in &mut slots {
                    slot.controls.simulated = Some(true);
                }
            }
            Ok(slots)
        });
        let slots: Vec<Vec<Definition>> = slots.collect::<Result<_, Problem>>()?;
        let metric = |metrics: &[Metric]| scenario.check.iter().any(|check| metrics.contains(&check.metric));
        Ok(Self {
            scenario,
            seed,
            slot: slots::of_table(scenario.slot.clone())?,
            policies: slots.iter().filter_map(|slots| slots.first().cloned()).collect(),
            slots,
            shops,
            groups: groups(&scenario.catalogue),
            shares: scenario.check.iter().filter_map(|check| share(scenario, check)).collect(),
            changes: scenario.check.iter().filter_map(|check| change(scenario, check)).collect(),
            clicks: click_probes(scenario),
            marks: marks(scenario),
            needs_report: metric(&[
                Metric::IntervalCoverage,
                Metric::PopulationCoverage,
                Metric::FiguresShown,
                Metric::WhoWantsWhat,
                Metric::RightArm,
                Metric::FalseConfidence,
            ]),
        })
    }
}

/// Returns the share that a check watches, or `None` if the check is about something else.
pub fn share<'a>(scenario: &Scenario, check: &'a Check) -> Option<ShareProbe<'a>> {
    let segment = |name: &String| scenario.shoppers.segments.iter().position(|segment| segment.name == *name);
    (check.metric == Metric::Share).then(|| ShareProbe {
        arm: check.arm.as_deref(),
        attribute: check.attribute.as_deref(),
        state: check.state,
        segment: check.segment.as_ref().and_then(segment),
        from: index(check.from.unwrap_or(0.0), scenario.horizon),
        until: index(check.until.unwrap_or(1.0), scenario.horizon),
    })
}

/// Returns the change that a check watches, or `None` if the check is about something else.
pub fn change(scenario: &Scenario, check: &Check) -> Option<AdaptProbe> {
    (check.metric == Metric::DecisionsToAdapt).then(|| AdaptProbe {
        after: index(check.after.or(change_point(scenario)).unwrap_or(0.0), scenario.horizon),
        block: check.block.unwrap_or(scenario.horizon / BUCKETS as u64).max(1),
        within: check.within.unwrap_or(WITHIN),
    })
}

/// Measurements by clicks that the report has itself: since the start of the session, and since a change of the intent.
pub const REPORTED_PROBES: [IntentStart; 2] = [IntentStart::Session, IntentStart::Shift];

fn click_probes(scenario: &Scenario) -> Vec<ClickProbe> {
    let from = index(CLICKS_FROM, scenario.horizon);
    let of_checks: Vec<ClickProbe> = scenario.check.iter().filter_map(|check| click_probe(scenario, check)).collect();
    if scenario.touchpoints.is_empty() && of_checks.is_empty() {
        return Vec::new();
    }
    let reported = REPORTED_PROBES.map(|since| ClickProbe { since, from, within: WITHIN });
    reported.into_iter().chain(of_checks).collect()
}

/// Returns the measurement by clicks that a check watches, or `None` if the check is about something else.
pub fn click_probe(scenario: &Scenario, check: &Check) -> Option<ClickProbe> {
    (check.metric == Metric::ClicksToAdapt).then(|| ClickProbe {
        since: check.since.unwrap_or(IntentStart::Session),
        from: index(check.from.unwrap_or(CLICKS_FROM), scenario.horizon),
        within: check.within.unwrap_or(WITHIN),
    })
}

/// Returns the way in which the shop calls the service of a policy that says this about it.
fn shop(scenario: &Scenario, of_policy: ShopCalls) -> ShopCalls {
    let events = if scenario.touchpoints.is_empty() { EventReports::Reward } else { EventReports::Shopper };
    of_policy.or(scenario.shop).or(ShopCalls {
        events: Some(events),
        deferred: Some(true),
        customer_ids: Some(true),
        shared_sessions: Some(true),
        bots: Some(true),
    })
}

fn marks(scenario: &Scenario) -> Vec<(When, String)> {
    let mut marks: Vec<(When, String)> = Vec::new();
    let mut add = |at: When, what: String| {
        // Several changes at one moment share one mark.
        if !marks.contains(&(at, what.clone())) {
            marks.push((at, what));
        }
    };
    for drift in &scenario.drift {
        let what =
            drift.intent.as_ref().map_or_else(|| "drift".to_owned(), |intent| format!("more or less '{intent}'"));
        match &drift.course {
            DriftCourse::Abrupt { at, until } => {
                add(*at, what.clone());
                if let Some(until) = until {
                    add(*until, format!("{what} ends"));
                }
            }
            DriftCourse::Gradual { from, until } => {
                add(*from, format!("{what} begins"));
                add(*until, format!("{what} ends"));
            }
            DriftCourse::Seasonal { .. } => {}
        }
    }
    for fault in &scenario.faults {
        let what = match fault.kind {
            FaultKind::Restart => "restart",
            FaultKind::Reset => "reset",
        };
        add(fault.at, what.to_owned());
    }
    for sale in &scenario.traffic.flash_sales {
        add(sale.from, "flash sale begins".to_owned());
        add(sale.until, "flash sale ends".to_owned());
    }
    let arms = scenario.catalogue.arms.iter();
    let moved = arms.flat_map(|arm| {
        let launch = arm.launch.map(|at| (at, format!("launch of '{}'", arm.arm_id)));
        launch.into_iter().chain(arm.retire.map(|at| (at, format!("end of '{}'", arm.arm_id))))
    });
    for (at, what) in moved.take(LAUNCHES_MARKED_MAX) {
        add(at, what);
    }
    marks
}
