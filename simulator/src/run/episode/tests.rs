//! Regret against brute force, and what a shop that is slow to tell gets.

use super::{
    bounds::bounds,
    catalogue::{self, CurrentCatalogue},
    *,
};
use crate::{
    environment::Environment,
    scenario::{Changes, Loaded, load, time::Moment},
};

fn loaded(name: &str, set: &[&str]) -> Loaded {
    let set = set.iter().map(ToString::to_string).collect();
    load(name, &Changes { set, ..Changes::default() }).unwrap_or_else(|why| panic!("{why}"))
}

/// All ordered choices of `count` out of `from`.
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

/// 120 orders of three out of six: the best and the mean of their worth. At positions whose looks do not even fall, and in
/// a cascade.
#[test]
fn the_best_and_the_uniform_slate_are_those_of_all_slates() {
    slates_agree("behaviour.position_bias=[0.5, 1.0, 0.2]");
    slates_agree("behaviour={ click_model = \"cascade\", position_bias = [1.0] }");
}

#[track_caller]
fn slates_agree(clicks: &str) {
    let loaded = loaded("search-ranking", &["catalogue.generated.count=6", "slot.count=3", clicks]);
    let setup = Setup::new(&loaded.scenario, 3).unwrap();
    let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 3, 0).unwrap();
    let start = Moment { index: 0, horizon: loaded.scenario.horizon, at_us: 0.0 };
    let mut catalogue = CurrentCatalogue::new(&environment, start);
    let mut truth = Truth::default();
    for (i, visit) in environment.traffic().take(60).enumerate() {
        // Now and then one is out of stock, and the slot knows.
        catalogue.in_stock[i % 6] = i % 3 > 0;
        catalogue.told[i % 6] = i % 3 > 0;
        environment.truth(&visit, &mut truth);
        let eligible: Vec<usize> = (0..6).filter(|&arm| catalogue.eligible(arm)).collect();
        let worths: Vec<f64> =
            slates(&eligible, 3).iter().map(|slate| environment.worth(&truth, slate, &catalogue.in_stock)).collect();
        let best = worths.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = worths.iter().sum::<f64>() / worths.len() as f64;
        let (got, uniform) = bounds(&environment, &truth, &catalogue, 3);
        assert!((got - best).abs() < 1e-12 && (uniform - mean).abs() < 1e-12, "{got} {best} {uniform} {mean}");
    }
}

/// A shop that tells the slot an hour late has shown what could not be bought; one that tells at once never has.
#[test]
fn what_the_slot_is_not_told_it_cannot_know() {
    let out_of_stock = |told_after: &str| {
        let told = format!("catalogue.stock_outs.told_after={told_after}");
        let loaded = loaded("stock-outs", &[&told, "horizon=2000", "traffic.per_day=250"]);
        let setup = Setup::new(&loaded.scenario, 1).unwrap();
        let place = setup.shares.iter().position(|probe| probe.state.is_some()).unwrap();
        replicate(&setup, 0, &NoRunProgress).unwrap().policies[0].shares[place]
    };
    assert_eq!(out_of_stock("0").0, 0);
    let (late, all) = out_of_stock("\"1h\"");
    assert!(late > 0 && late < all / 4, "{late} of {all}");
}

/// All that was forgotten is forgotten; what was written and read again is not: the very same decisions follow.
#[test]
fn a_restart_changes_no_decision_and_a_reset_does() {
    let loaded = loaded("restart", &["horizon=600", "traffic.per_day=200"]);
    let setup = Setup::new(&loaded.scenario, 1).unwrap();
    let policies = replicate(&setup, 0, &NoRunProgress).unwrap().policies;
    let of = |name: &str| &policies[loaded.scenario.policies.iter().position(|policy| policy.name == name).unwrap()];
    assert_eq!(of("restarted"), of("never stopped"));
    assert_ne!(of("forgot everything").buckets, of("never stopped").buckets);
    let before = |tally: &PolicyTally| tally.part(0..BUCKETS / 2);
    assert_eq!(before(of("forgot everything")), before(of("never stopped")));
}

/// As it was for the arms that a slot is told of, and for no others.
#[test]
fn a_shelf_is_as_another_for_the_arms_that_changes_are_about() {
    use slotwise::engine::{Availability, Change};
    let loaded = loaded("search-ranking", &["catalogue.generated.count=4"]);
    let setup = Setup::new(&loaded.scenario, 3).unwrap();
    let environment = Environment::new(&loaded.scenario, &setup.slot.goal, 3, 0).unwrap();
    let before = CurrentCatalogue::new(&environment, Moment { index: 0, horizon: 100, at_us: 0.0 });
    let mut after = before.clone();
    for arm in [0, 1] {
        after.in_stock[arm] = false;
        after.told[arm] = false;
    }
    after.present[2] = false;
    let id = |arm: usize| environment.arms()[arm].arm.id.clone();
    let changes = [Change::SetAvailability(vec![(id(0), Availability::new(false))]), Change::RemoveArms(vec![id(2)])];
    let arms = catalogue::about(&environment, &changes);
    assert_eq!(arms, [0, 2]);
    let as_before = after.with(&arms, &before);
    assert_eq!([0, 1, 2, 3].map(|arm| as_before.eligible(arm)), [true, false, true, true]);
    after.or(&before);
    assert_eq!([0, 1, 2, 3].map(|arm| after.eligible(arm)), [true; 4]);
}
