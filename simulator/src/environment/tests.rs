//! The environment against counting, and against formulas written in another way.

use slotwise::slot::{Consent, Goal};

use super::*;
use crate::scenario::{Changes, Loaded, load, shipped, slots};

fn scenario(name: &str, set: &[&str]) -> Loaded {
    let set = set.iter().map(ToString::to_string).collect();
    load(name, &Changes { set, ..Changes::default() }).unwrap_or_else(|why| panic!("{why}"))
}

fn goal(loaded: &Loaded) -> Goal {
    slots::of_table(loaded.scenario.slot.clone()).unwrap().goal
}

/// Returns arms in an order that is independent of all coins of the environment.
fn some_order(visit: &Visit, arms: usize, count: usize) -> Vec<usize> {
    let coins = Coins::new("test order", &[visit.now.index]);
    let mut order: Vec<usize> = (0..arms).collect();
    order.sort_by_key(|&arm| coins.word(Purpose::Arm, arm as u64));
    order.truncate(count);
    order
}

/// The mean of (given − expected) over n visits is off by its standard error. Five of those is a false alarm once in
/// 1.7 million fresh seeds, for each of the fourteen scenarios.
#[test]
fn expected_rewards_equal_mean_rewards_in_every_shipped_scenario() {
    for name in shipped::names() {
        let loaded = scenario(name, &["horizon=8000"]);
        let goal = goal(&loaded);
        let environment = Environment::new(&loaded.scenario, &goal, 7, 3).unwrap();
        let count = slots::of_table(loaded.scenario.slot.clone()).unwrap().count() as usize;
        let arms = environment.arms().len();
        let (mut truth, mut outcomes, mut differences) = (Truth::default(), Vec::new(), Vec::new());
        let visits = if arms > 100 { 500 } else { 8_000 };
        for visit in environment.traffic().take(visits) {
            let shown = some_order(&visit, arms, count);
            let in_stock: Vec<bool> = (0..arms).map(|arm| environment.in_stock(arm, visit.now)).collect();
            environment.truth(&visit, &mut truth);
            environment.outcomes(&visit, &truth, &shown, &in_stock, &mut outcomes);
            let given: f64 = (0..shown.len()).map(|place| environment.given_reward(&outcomes, place)).sum();
            if visit.shopper.bot {
                // Bots look at every position, and the expected reward is that of shoppers.
                continue;
            }
            differences.push(given - environment.worth(&truth, &shown, &in_stock));
        }
        let (mean, error) = mean_and_error(&differences);
        assert!(error > 0.0 && mean.abs() < 5.0 * error, "{name}: {mean} ± {error}");
    }
}

#[test]
fn customers_are_known_from_their_login_on_and_devices_are_shared() {
    let loaded = scenario("login", &["horizon=2000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 7, 3).unwrap();
    let shoppers = &loaded.scenario.shoppers;
    let mut known = 0;
    for visit in environment.traffic() {
        let subject = visit.known_subject(shoppers);
        let logged_in = visit.shopper.returning && visit.step > 1;
        assert_eq!(subject.id.is_empty(), !logged_in, "{visit:?}");
        assert_eq!(subject.session_id, visit.own_session_id());
        known += u32::from(logged_in);
    }
    assert!(known > 1_000, "{known}");
    let loaded = scenario("shared-device", &["horizon=4000"]);
    let environment = Environment::new(&loaded.scenario, &goal, 7, 3).unwrap();
    let firsts: Vec<Visit> = environment.traffic().filter(|visit| visit.step == 1).collect();
    let shared = firsts.iter().filter(|visit| visit.shopper.subject.session_id != visit.own_session_id()).count();
    // The share is 0.7, and its standard error over 800 sessions 0.016.
    let share = shared as f64 / firsts.len() as f64;
    assert!((share - 0.7).abs() < 0.08, "{share} of {}", firsts.len());
}

/// Computed by hand: in a cascade the second position is reached by shoppers whom the first did not stop, and the
/// third by those whom neither stopped. An arm out of stock stops nobody. The mean reward over 8,000 visits is the
/// expected one within five standard errors (a false alarm once in 1.7 million fresh seeds).
#[test]
fn a_cascade_ends_at_the_first_click() {
    let cascade = "behaviour={ click_model = \"cascade\", position_bias = [1.0] }";
    let loaded = scenario("search-ranking", &[cascade, "horizon=8000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 7, 3).unwrap();
    let (mut truth, mut outcomes, mut differences) = (Truth::default(), Vec::new(), Vec::new());
    let (mut clicks, mut lower) = (0, 0);
    for visit in environment.traffic() {
        let shown = some_order(&visit, 12, 3);
        let mut in_stock = vec![true; 12];
        in_stock[shown[1]] = visit.now.index % 4 > 0;
        environment.truth(&visit, &mut truth);
        let [a, b, c] = [shown[0], shown[1], shown[2]];
        let (second, left) = if in_stock[b] { (truth.expected[b], 1.0 - truth.stops[b]) } else { (0.0, 1.0) };
        let want = truth.expected[a] + (1.0 - truth.stops[a]) * (second + left * truth.expected[c]);
        let worth = environment.worth(&truth, &shown, &in_stock);
        assert!((worth - want).abs() < 1e-12, "{worth} {want}");
        environment.outcomes(&visit, &truth, &shown, &in_stock, &mut outcomes);
        let first: Vec<usize> =
            outcomes.iter().filter(|outcome| outcome.step == 0).map(|outcome| outcome.place).collect();
        assert!(first.len() <= 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| Some(&outcome.place) == first.first()), "{outcomes:?}");
        clicks += first.len();
        lower += usize::from(first.first().is_some_and(|place| *place > 0));
        differences.push((0..3).map(|place| environment.given_reward(&outcomes, place)).sum::<f64>() - worth);
    }
    let (mean, error) = mean_and_error(&differences);
    assert!(error > 0.0 && mean.abs() < 5.0 * error, "{mean} ± {error}");
    assert!(lower > 500 && clicks > lower + 500, "{lower} of {clicks}");
}

/// The test enumerates every path through the funnel, and its reward is multiplied by its probability.
#[test]
fn expected_rewards_are_those_of_all_paths() {
    let loaded = scenario("email-delays", &[]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 5, 0).unwrap();
    let mut truth = Truth::default();
    let logistic = |u: f64| 1.0 / (1.0 + (-u).exp());
    for visit in environment.traffic().take(200) {
        environment.truth(&visit, &mut truth);
        let (reader, hunter) = match visit.shopper.segment {
            0 => (1.0, 0.0),
            _ => (0.0, 1.0),
        };
        for (i, arm) in environment.arms().iter().enumerate() {
            // The scenario's numbers, copied by hand.
            let (appeal, margin, sale, content) = match arm.arm.id.as_str() {
                "magazine" => (-1.2, 12.0, 0.0, 1.0),
                "new-arrivals" => (-1.6, 18.0, 0.0, 0.0),
                "sale" => (-1.4, 8.0, 1.0, 0.0),
                _ => (-1.8, 10.0, 0.0, 1.0),
            };
            let click = logistic(appeal + 2.0 * hunter * sale + 1.2 * reader * content);
            let purchase = logistic(-1.0 + 1.2 * hunter * sale);
            let kept = 0.9;
            let want = click * (0.1 + purchase * kept * 0.05 * margin);
            assert!((truth.expected[i] - want).abs() < 1e-12, "{}: {} {want}", arm.arm.id, truth.expected[i]);
        }
    }
}

#[test]
fn a_seed_gives_one_environment_and_replications_differ() {
    let loaded = scenario("returning-or-new", &[]);
    let goal = goal(&loaded);
    let visits = |seed, replication| -> Vec<Visit> {
        Environment::new(&loaded.scenario, &goal, seed, replication).unwrap().traffic().take(500).collect()
    };
    let first = visits(1, 0);
    assert_eq!(first, visits(1, 0));
    assert_ne!(first, visits(1, 1));
    assert_ne!(first, visits(2, 0));
    assert!(first.windows(2).all(|pair| pair[0].now.at_us <= pair[1].now.at_us), "time never goes back");
    assert!(first.iter().zip(0..).all(|(visit, index)| visit.now.index == index));
}

#[test]
fn returning_shoppers_stay_the_same_and_new_ones_differ() {
    let loaded = scenario("returning-or-new", &["horizon=5000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 1, 0).unwrap();
    let mut known = std::collections::HashMap::new();
    let mut met_again = 0;
    for visit in environment.traffic() {
        let shopper = &visit.shopper;
        let tells = (shopper.segment, shopper.traits.clone(), shopper.price_sensitivity, shopper.consent);
        let met = known.insert(shopper.subject.id.clone(), (tells.clone(), shopper.subject.session_id.clone()));
        if let Some((before, session)) = met {
            assert_eq!(before, tells, "{}", shopper.subject.id);
            if session != shopper.subject.session_id {
                assert!(shopper.returning, "a new shopper has one session");
                met_again += 1;
            }
        }
    }
    assert!(met_again > 500, "{met_again}");
}

/// The scenario says that 30 % consent to nothing. Over 3,000 members and sessions the standard error is below 0.01.
#[test]
fn without_consent_nothing_about_the_shopper_is_sent() {
    let loaded = scenario("opt-out", &["horizon=10000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 1, 0).unwrap();
    let (mut without, mut all) = (0, 0);
    for visit in environment.traffic() {
        let context = visit.context(&loaded.scenario.shoppers);
        let names: Vec<&str> = context.keys().map(String::as_str).collect();
        all += 1;
        if visit.shopper.consent == Consent::None {
            without += 1;
            assert_eq!(names, ["hour"]);
        } else {
            assert_eq!(names, ["hour", "segment"]);
        }
    }
    let share = f64::from(without) / f64::from(all);
    assert!((share - 0.3).abs() < 0.05, "{share}");
}

/// A sale of factor 20 over 20 % of the decisions takes 20 % / 20 of their time: t = 0.45 + 0.01 + 0.35.
#[test]
fn a_flash_sale_brings_its_decisions_in_a_fraction_of_the_time() {
    let loaded = scenario("flash-sale", &["traffic.daily_swing=0.0", "horizon=40000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 1, 0).unwrap();
    let times: Vec<f64> = environment.traffic().map(|visit| visit.now.at_us).collect();
    let within = times[26_000] - times[18_000];
    let whole = times[39_999];
    assert!((within / whole - 0.01 / 0.81).abs() < 0.004, "{}", within / whole);
    // The whole takes forty days at 1,000 a day, less the time that the sale saves.
    assert!((whole / 86_400e6 - 40.0 * 0.81).abs() < 2.0, "{}", whole / 86_400e6);
}

#[test]
fn the_season_shifts_the_intents() {
    let loaded = scenario("gift-season", &["horizon=20000"]);
    let goal = goal(&loaded);
    let environment = Environment::new(&loaded.scenario, &goal, 1, 0).unwrap();
    let gifts = |from: usize, until: usize| {
        let of: Vec<usize> = environment.traffic().skip(from).take(until - from).map(|visit| visit.intent).collect();
        of.iter().sum::<usize>() as f64 / of.len() as f64
    };
    // The part is 0.1 before and 0.7 after. Sessions of three make the standard error of 8,000 visits about 0.01.
    assert!((gifts(0, 8_000) - 0.1).abs() < 0.04, "{}", gifts(0, 8_000));
    assert!((gifts(12_500, 20_000) - 0.7).abs() < 0.05, "{}", gifts(12_500, 20_000));
}

/// Returns the mean of numbers and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}
