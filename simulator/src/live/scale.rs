//! Conversion from the shop's time to the wall clock's.
//!
//! The server knows only its own clock. The times in a slot's settings (window, half-life, stickiness, caps per
//! subject) are therefore divided by the speed, so that a window of a day is a day of the shop's time there too. A
//! time that cannot be divided is refused or noted, never left as it is in silence.

use std::time::Duration;

use slotwise::slot::{Controls, Definition, Effect, SlotId, Stickiness, limits::CAP_WINDOW_US_MIN};

use crate::{environment::Traffic, run::episode::Setup, scenario::Problem};

/// Default of decisions per second, over all policies and all replications under way: what a server on a desk does
/// beside other work.
pub const RATE: f64 = 200.0;

/// The shortest window of a slot, microseconds.
const WINDOW_US_MIN: f64 = 1e6;
/// The shortest half-life and the shortest stickiness of a slot, microseconds.
const MINUTE_US: f64 = 60e6;

/// Pace of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tempo {
    /// Decisions per second, on average, over all policies and all replications under way. Above 0.
    Rate(f64),
    /// Multiple of the speed of the shop's own time. Above 0.
    Speed(f64),
}

/// Conversion from the shop's time to the wall clock's.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Multiple of the speed of the shop's own time.
    pub speed: f64,
    /// Decisions per second, on average, over all policies and all replications under way.
    pub rate: f64,
    /// Approximate duration of a replication's visits.
    pub length: Duration,
    /// Maximum time of a replication's last events after its visits.
    pub tail: Duration,
    /// Remarks for the report.
    pub notes: Vec<String>,
}

/// Returns the highest speed that a slot allows, and the setting that limits it.
fn fastest(definition: &Definition) -> (f64, &'static str) {
    let mut limits = vec![
        (definition.goal.window_us as f64 / WINDOW_US_MIN, "goal.window"),
        (definition.controls.half_life_us() as f64 / MINUTE_US, "controls.half_life"),
    ];
    if let Stickiness::For(us) = definition.controls.stickiness() {
        limits.push((us as f64 / MINUTE_US, "controls.stickiness.for"));
    }
    for rule in &definition.rules {
        if let Effect::SubjectCap { window_us, .. } = rule.effect {
            limits.push((window_us as f64 / CAP_WINDOW_US_MIN as f64, "rules: subject_cap.window"));
        }
    }
    limits.into_iter().fold((f64::INFINITY, ""), |least, limit| if limit.0 < least.0 { limit } else { least })
}

impl Scale {
    /// Returns the scale of a run with this many replications at the same time.
    ///
    /// # Errors
    ///
    /// Returns a problem if a time of a slot would be shorter than a server accepts.
    pub fn new(setup: &Setup<'_>, tempo: Option<Tempo>, at_once: usize) -> Result<Self, Problem> {
        let scenario = setup.scenario;
        let last_us = Traffic::new(scenario, setup.seed, 0).last().map_or(0.0, |visit| visit.now.at_us);
        // The rate is the visits per microsecond of the shop's time, times the policies that decide at each.
        let decisions = scenario.horizon as f64 / last_us.max(1.0) * (setup.policies.len() * at_once) as f64;
        let rate_of = |speed: f64| decisions * speed * 1e6;
        let speed_of = |rate: f64| rate / decisions / 1e6;
        let limits = setup.policies.iter().zip(&scenario.policies).map(|(slot, policy)| (fastest(slot), policy));
        let limit = limits.reduce(|least, limit| if limit.0.0 < least.0.0 { limit } else { least });
        let most = limit.as_ref().map_or(f64::INFINITY, |((most, _), _)| *most);
        let speed = match tempo {
            None => speed_of(RATE).min(most),
            Some(Tempo::Rate(rate)) => speed_of(rate),
            Some(Tempo::Speed(speed)) => speed,
        };
        if let Some(((most, which), policy)) = limit
            && speed > most
        {
            let key = if matches!(tempo, Some(Tempo::Rate(_))) { "--rate" } else { "--speed" };
            // Rounding both down makes the reported number a valid value of the flag.
            let (most, rate) = (floor(most), floor(rate_of(most)));
            let message = format!(
                "{speed:.0} times as fast as the shop, {which} of policy '{}' would be shorter than a server takes; \
                 give --speed {most} or --rate {rate} at most",
                policy.name
            );
            return Err(Problem::new(key, message));
        }
        let window_us = setup.policies.iter().map(|slot| slot.goal.window_us).max().unwrap_or(0) as f64;
        let wall = |us: f64| Duration::try_from_secs_f64(us / speed / 1e6).unwrap_or(Duration::MAX);
        let scale = Self {
            speed,
            rate: rate_of(speed),
            length: wall(last_us),
            tail: wall(window_us + crate::run::episode::queue::LATE_BY),
            notes: notes(setup),
        };
        for (slot, policy) in setup.policies.iter().zip(&scenario.policies) {
            let scaled = scale.definition(slot, slot.id.clone());
            let arms = setup.scenario.catalogue.arms.is_empty();
            // Arms come with the catalogue and are checked with it.
            if !arms && let Err(why) = (Definition { default_arm: None, open_catalogue: true, ..scaled }).check() {
                return Err(Problem::from(why).within(&format!("policy '{}' at this speed", policy.name)));
            }
        }
        Ok(scale)
    }

    /// Returns a slot of this id for simulated traffic, with its times scaled.
    pub fn definition(&self, slot: &Definition, id: SlotId) -> Definition {
        let mut slot = Definition { id, ..slot.clone() };
        slot.goal.window_us = self.time_us(slot.goal.window_us);
        slot.controls = Controls {
            half_life_us: Some(self.time_us(slot.controls.half_life_us())),
            stickiness: slot.controls.stickiness.map(|stickiness| match stickiness {
                Stickiness::For(us) => Stickiness::For(self.time_us(us)),
                as_it_is @ (Stickiness::Never | Stickiness::Session) => as_it_is,
            }),
            simulated: Some(true),
            ..slot.controls
        };
        for rule in &mut slot.rules {
            if let Effect::SubjectCap { window_us, .. } = &mut rule.effect {
                *window_us = self.time_us(*window_us);
            }
        }
        slot
    }

    #[expect(clippy::cast_possible_truncation, reason = "a time divided; saturates")]
    fn time_us(&self, us: i64) -> i64 {
        // Times are rounded up, so that a time that is just long enough stays so.
        (us as f64 / self.speed).ceil() as i64
    }

    /// Returns the wall-clock time of a moment of the shop's time, both since the start of a replication.
    pub(super) fn wall(&self, shop_us: f64) -> Duration {
        Duration::try_from_secs_f64(shop_us.max(0.0) / self.speed / 1e6).unwrap_or(Duration::MAX)
    }

    /// Returns the shop's time of a wall-clock time, both since the start of a replication, in microseconds.
    pub(super) fn shop_us(&self, wall: Duration) -> f64 {
        wall.as_secs_f64() * 1e6 * self.speed
    }
}

/// Returns a number rounded down to three digits.
fn floor(number: f64) -> f64 {
    let unit = 10_f64.powf(number.log10().floor() - 2.0);
    let digits = (number / unit).floor();
    // A power of ten below 1 is not exact, but its inverse is.
    if unit < 1.0 { digits / (1.0 / unit).round() } else { digits * unit }
}

fn notes(setup: &Setup<'_>) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for rule in setup.policies.iter().flat_map(|slot| &slot.rules) {
        if let Effect::DayCap { .. } = rule.effect {
            let note = format!("rule '{}' counts days of the server's clock, not of the shop's", rule.name);
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Changes, load};

    fn scale(set: &[&str], tempo: Option<Tempo>, at_once: usize) -> Result<Scale, Problem> {
        let set = set.iter().map(ToString::to_string).collect();
        let loaded = load("offer", &Changes { set, ..Changes::default() }).unwrap();
        Scale::new(&Setup::new(&loaded.scenario, 1).unwrap(), tempo, at_once)
    }

    /// Each policy and replication has 1,000 visits a day, so that is the rate at speed 1.
    #[test]
    fn a_rate_counts_policies_and_replications_and_converts_to_a_speed() {
        let set = ["horizon=4000", "traffic.per_day=1000", "traffic.daily_swing=0.0"];
        let loaded = load("offer", &Changes { set: set.map(str::to_owned).to_vec(), ..Changes::default() }).unwrap();
        let policies = loaded.scenario.policies.len() as f64;
        let one = scale(&set, Some(Tempo::Speed(864.0)), 1).unwrap();
        // Sessions of about two visits come at random, so 4,000 visits are off by about 2 %.
        assert!((one.rate / (10.0 * policies) - 1.0).abs() < 0.1, "{one:?}");
        assert!((one.length.as_secs_f64() * 10.0 / 4000.0 - 1.0).abs() < 0.1, "{one:?}");
        let three = scale(&set, Some(Tempo::Speed(864.0)), 3).unwrap();
        assert!((three.rate / one.rate - 3.0).abs() < 1e-9);
        let answers_to = scale(&set, Some(Tempo::Rate(three.rate)), 3).unwrap();
        assert!((answers_to.speed - 864.0).abs() < 1e-6, "{answers_to:?}");
    }

    #[test]
    fn a_slots_times_are_scaled_and_it_is_for_simulated_traffic() {
        let set = ["slot.goal.window=\"10h\"", "slot.controls.half_life=\"5days\""];
        let loaded = load("offer", &Changes { set: set.map(str::to_owned).to_vec(), ..Changes::default() }).unwrap();
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        let scale = Scale::new(&setup, Some(Tempo::Speed(1000.0)), 1).unwrap();
        let id = SlotId::parse("", "mine").unwrap();
        let slot = scale.definition(&setup.policies[0], id.clone());
        assert_eq!((slot.goal.window_us, slot.controls.half_life_us()), (36_000_000, 432_000_000));
        assert!(slot.controls.simulated() && slot.id == id);
        assert_eq!(slot.model, setup.policies[0].model);
        assert_eq!(scale.wall(2_500e6), Duration::from_millis(2_500));
        assert!((scale.shop_us(Duration::from_millis(2_500)) - 2_500e6).abs() < 1e-3);
    }

    /// A window of an hour is a second at 3,600 times the speed. The default speed never makes it shorter.
    #[test]
    fn times_that_a_server_refuses_are_refused_with_a_remedy() {
        let set = ["slot.goal.window=\"1h\"", "traffic.per_day=10"];
        let refused = scale(&set, Some(Tempo::Speed(3_601.0)), 1).unwrap_err().to_string();
        assert!(refused.starts_with("--speed: 3601 times as fast as the shop, goal.window of policy "), "{refused}");
        assert!(refused.contains("give --speed 3600 or --rate "), "{refused}");
        let rate = refused.rsplit("--rate ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(scale(&set, Some(Tempo::Rate(rate)), 1).is_ok(), "what is said can be given");
        let refused = scale(&set, Some(Tempo::Rate(1e6)), 1).unwrap_err().to_string();
        assert!(refused.starts_with("--rate: "), "{refused}");
        assert!((scale(&set, None, 1).unwrap().speed - 3_600.0).abs() < 1e-9);
        assert!((scale(&["traffic.per_day=100000"], None, 1).unwrap().rate - RATE).abs() < 1e-6);
    }

    #[test]
    fn reported_numbers_are_rounded_down() {
        assert_eq!([3_600.0, 12_345.0, 0.123_456].map(floor).map(|x| x.to_string()), ["3600", "12300", "0.123"]);
    }
}
