//! Regret against brute force, and decisions of slots that learn of changes late.

use super::{
    catalogue::{self, CurrentCatalogue},
    *,
};
use crate::{
    environment::{Environment, reward_bounds},
    scenario::{Changes, Loaded, load, time::Moment},
};

fn loaded(name: &str, set: &[&str]) -> Loaded {
    let set = set.iter().map(ToString::to_string).collect();
    load(name, &Changes { set, ..Changes::default() }).unwrap_or_else(|why| panic!("{why}"))
}

/// Returns all ordered choices of `count` out of `from`.
fn slates(from: &[usize], count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for &first in from {
        let rest: Vec<usize> = from.iter().copied().filter(|&arm| arm != first).collect();
        all.extend(slates(&rest, count - 1).into_iter().map(|mut slate| {
            slate.insert(0, first);
            slate
        }));
    }
    all
}

/// All 120 orders of three out of six are compared, with positions whose looks do not fall, and in a cascade.
#[test]
fn bounds_equal_those_of_all_slates() {
    assert_bounds_equal_brute_force("behaviour.position_bias=[0.5, 1.0, 0.2]");
    assert_bounds_equal_brute_force("behaviour={ click_model = \"cascade\", position_bias = [1.0] }");
}

#[track_caller]
fn assert_bounds_equal_brute_force(clicks: &str) {
    let loaded = loaded("search-ranking", &["catalogue.generated.count=6", "slot.count=3", clicks]);
    let setup = Setup::new(&loaded.scenario, 3).unwrap();
    let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 3, 0).unwrap();
    let start = Moment { index: 0, horizon: loaded.scenario.horizon, at_us: 0.0 };
    let mut catalogue = CurrentCatalogue::new(&environment, start);
    let mut truth = Truth::default();
    for (i, visit) in environment.traffic().take(60).enumerate() {
        // Sometimes an arm is out of stock and the slot knows it.
        catalogue.in_stock[i % 6] = i % 3 > 0;
        catalogue.known_in_stock[i % 6] = i % 3 > 0;
        environment.truth(&visit, &mut truth);
        let eligible: Vec<usize> = (0..6).filter(|&arm| catalogue.eligible(arm)).collect();
        let worths: Vec<f64> =
            slates(&eligible, 3).iter().map(|slate| environment.worth(&truth, slate, &catalogue.in_stock)).collect();
        let best = worths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = worths.iter().sum::<f64>() / worths.len() as f64;
        let (got, uniform) = reward_bounds(&environment, &truth, |arm| catalogue.eligible(arm), 3);
        assert!((got - best).abs() < 1e-12 && (uniform - mean).abs() < 1e-12, "{got} {best} {uniform} {mean}");
    }
}

/// A shop that reports stock an hour late shows arms that cannot be bought. A shop that reports at once never does.
#[test]
fn a_slot_shows_sold_out_arms_only_while_it_has_not_been_told() {
    let out_of_stock = |told_after: &str| {
        let known_in_stock = format!("catalogue.stock_outs.told_after={told_after}");
        let loaded = loaded("stock-outs", &[&known_in_stock, "horizon=2000", "traffic.per_day=250"]);
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        let place = setup.shares.iter().position(|probe| probe.state.is_some()).unwrap();
        replicate(&setup, 0, &NoRunProgress).unwrap().policies[0].shares[place]
    };
    assert_eq!(out_of_stock("0").0, 0);
    let (late, all) = out_of_stock("\"1h\"");
    assert!(late > 0 && late < all / 4, "{late} of {all}");
}

/// A reset forgets everything. A state that was written and read again forgets nothing, so the same decisions follow.
#[test]
fn a_reset_changes_decisions_and_a_restart_does_not() {
    let loaded = loaded("restart", &["horizon=600", "traffic.per_day=200"]);
    let setup = Setup::new(&loaded.scenario, 1).unwrap();
    let policies = replicate(&setup, 0, &NoRunProgress).unwrap().policies;
    let of = |name: &str| &policies[loaded.scenario.policies.iter().position(|policy| policy.name == name).unwrap()];
    assert_eq!(of("restarted"), of("never stopped"));
    assert_ne!(of("forgot everything").buckets, of("never stopped").buckets);
    let before = |tally: &PolicyTally| tally.part(0..BUCKETS / 2);
    assert_eq!(before(of("forgot everything")), before(of("never stopped")));
}

/// The mixed catalogue equals the other one for the arms in the changes, and for no others.
#[test]
fn a_catalogue_can_take_the_changed_arms_from_another() {
    use slotwise::engine::{Availability, Change};
    let loaded = loaded("search-ranking", &["catalogue.generated.count=4"]);
    let setup = Setup::new(&loaded.scenario, 3).unwrap();
    let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 3, 0).unwrap();
    let before = CurrentCatalogue::new(&environment, Moment { index: 0, horizon: 100, at_us: 0.0 });
    let mut after = before.clone();
    for arm in [0, 1] {
        after.in_stock[arm] = false;
        after.known_in_stock[arm] = false;
    }
    after.present[2] = false;
    let id = |arm: usize| environment.arms()[arm].arm.id.clone();
    let changes = [Change::SetAvailability(vec![(id(0), Availability::new(false))]), Change::RemoveArms(vec![id(2)])];
    let arms = catalogue::changed_arms(&environment, &changes);
    assert_eq!(arms, [0, 2]);
    let as_before = after.with(&arms, &before);
    assert_eq!([0, 1, 2, 3].map(|arm| as_before.eligible(arm)), [true, false, true, true]);
    after.or(&before);
    assert_eq!([0, 1, 2, 3].map(|arm| after.eligible(arm)), [true; 4]);
}
