//! The demo's environment: shoppers, the truth about them, and their outcomes.
//!
//! It is pure: no clock, no service, no state. Shopper number n of a seed is always the same, with the same coins for
//! every thing that could be shown. A shopper's outcome under another choice is therefore a fact of this environment,
//! and rewards under two choices can be compared shopper by shopper.
//!
//! A click needs a look and a liking, independently: `P(click on a at position k) = look[k] · σ(log odds of a)`. (The
//! position-based model: Craswell et al., *An experimental comparison of click position-bias models*, 2008, §3.)
//! Positions do not influence each other, so expectations are plain sums.

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

use super::catalogue::{DemoPlace, THINGS};
use crate::{
    bandit::{Features, Value, standard_normal},
    engine::hash,
    stats::math,
};

/// Median of the basket, euros, and spread of its logarithm, as in a medium-sized outdoor shop.
const BASKET: (f64, f64) = (60.0, 0.7);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal: $weight:literal),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($variant),+ }

        impl $name {
            const WEIGHTED: &[(Self, f64)] = &[$((Self::$variant, $weight)),+];

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words! {
    /// Segments of shoppers by how well the shop knows them, with their frequencies.
    Segment { New = "new": 0.45, Returning = "returning": 0.33, Loyal = "loyal": 0.22 }
}
words! {
    /// Devices, with their frequencies.
    Device { Phone = "phone": 0.55, Desktop = "desktop": 0.33, Tablet = "tablet": 0.12 }
}
words! {
    /// Times of day, with their frequencies.
    Daypart { Morning = "morning": 0.2, Day = "day": 0.4, Evening = "evening": 0.4 }
}
words! {
    /// Searches, with their frequencies.
    Search { Shoes = "shoes": 0.34, Jacket = "jacket": 0.25, Camping = "camping": 0.23, Gift = "gift": 0.18 }
}

/// Taste of a shopper that a thing can meet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Taste {
    /// 1 for shoppers of this segment, else 0.
    Is(Segment),
    /// 1 on this device, else 0.
    Has(Device),
    /// 1 at this time of day, else 0.
    At(Daypart),
    /// 1 for this search, else 0.
    Seeks(Search),
    /// Price sensitivity minus the middle, −½ to ½.
    PriceSensitive,
    /// Logarithm of the basket minus the median's, −1½ to 1½.
    BigBasket,
}

impl Taste {
    /// Returns the value of the taste for a shopper.
    pub(super) fn value(self, shopper: &DemoShopper) -> f64 {
        let yes = |applies: bool| f64::from(u8::from(applies));
        match self {
            Self::Is(segment) => yes(shopper.segment == segment),
            Self::Has(device) => yes(shopper.device == device),
            Self::At(daypart) => yes(shopper.daypart == daypart),
            Self::Seeks(search) => yes(shopper.search == search),
            Self::PriceSensitive => shopper.price_sensitivity - 0.5,
            Self::BigBasket => math::ln(shopper.basket / BASKET.0).clamp(-1.5, 1.5),
        }
    }
}

/// A shopper.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DemoShopper {
    /// Number in order of arrival, from 0.
    pub(super) number: u64,
    /// The segment.
    pub(super) segment: Segment,
    device: Device,
    daypart: Daypart,
    hour: u32,
    search: Search,
    /// Price sensitivity, 0 to 1.
    price_sensitivity: f64,
    /// Value of the basket, euros.
    basket: f64,
    /// Seed of the shopper's coins.
    coins: u64,
}

/// A click on a shown thing, and perhaps an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DemoOutcome {
    /// Index of the thing.
    pub(super) thing: usize,
    /// Whether the click ended in an order.
    pub(super) ordered: bool,
}

/// Expected rewards of a shopper's visit to a place under several choices, reward units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExpectedRewards {
    /// Expected reward of each thing at a position that is certainly looked at.
    pub(super) things: [f64; THINGS],
    /// Expected reward of things drawn uniformly without replacement.
    pub(super) uniform: f64,
    /// Expected reward of the best things in the best order.
    pub(super) best: f64,
    /// The best things, best first.
    pub(super) best_things: Vec<usize>,
}

fn pick<T: Copy>(weighted: &[(T, f64)], u: f64) -> T {
    let mut left = u;
    for &(value, weight) in weighted {
        left -= weight;
        if left < 0.0 {
            return value;
        }
    }
    // Rounding may leave a sliver beyond the last.
    weighted[weighted.len() - 1].0
}

impl DemoShopper {
    /// Returns shopper `number` of this seed.
    pub(super) fn arrive(seed: u64, number: u64) -> Self {
        let stream = hash("demo shopper", &[&seed.to_be_bytes(), &number.to_be_bytes()]);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(stream.word());
        let segment = pick(Segment::WEIGHTED, rng.random());
        let daypart = pick(Daypart::WEIGHTED, rng.random());
        let hour = match daypart {
            Daypart::Morning => rng.random_range(6..10),
            Daypart::Day => rng.random_range(10..17),
            Daypart::Evening => rng.random_range(17..23),
        };
        // Shoppers who know the shop mind its prices less.
        let lean = if segment == Segment::Loyal { 0.4 } else { 0.55 };
        let price_sensitivity: f64 = lean + 0.4 * (rng.random::<f64>() + rng.random::<f64>() - 1.0);
        let basket = BASKET.0 * math::exp(BASKET.1 * standard_normal(&mut rng));
        Self {
            number,
            segment,
            device: pick(Device::WEIGHTED, rng.random()),
            daypart,
            hour,
            search: pick(Search::WEIGHTED, rng.random()),
            price_sensitivity,
            basket: (basket * 100.0).round() / 100.0,
            coins: rng.next_u64(),
        }
    }

    /// Returns the context that the shop sends.
    pub(super) fn context(&self) -> Features {
        let text = |word: &str| Value::Text(word.to_owned());
        Features::from([
            ("segment".into(), text(self.segment.word())),
            ("device".into(), text(self.device.word())),
            ("daypart".into(), text(self.daypart.word())),
            ("hour".into(), Value::Number(f64::from(self.hour))),
            ("search".into(), text(self.search.word())),
            ("price_sensitivity".into(), Value::Number(self.price_sensitivity)),
            // Money is felt by its ratio, and a shop knows that.
            ("basket_log".into(), Value::Number(math::ln(self.basket))),
        ])
    }

    /// Returns the chance that a thing is clicked if it is looked at.
    pub(super) fn liking(&self, place: &DemoPlace, thing: usize) -> f64 {
        let thing = &place.things[thing];
        let log_odds = thing.likes.iter().fold(thing.appeal, |sum, (likes, weight)| sum + weight * likes.value(self));
        math::logistic(log_odds)
    }

    /// Returns the chance that a click ends in an order.
    pub(super) fn ordering(&self) -> f64 {
        match self.segment {
            Segment::New => 0.45,
            Segment::Returning => 0.6,
            Segment::Loyal => 0.7,
        }
    }

    /// Returns the expected rewards of this visit, by formula.
    pub(super) fn worth(&self, place: &DemoPlace) -> ExpectedRewards {
        let per_click = place.click + place.order * self.ordering();
        let things: [f64; THINGS] = std::array::from_fn(|thing| per_click * self.liking(place, thing));
        let mut best_things: Vec<usize> = (0..THINGS).collect();
        best_things.sort_by(|&a, &b| things[b].total_cmp(&things[a]));
        best_things.truncate(place.looks.len());
        // A uniform draw puts each thing at each position with the same chance.
        let mean = things.iter().sum::<f64>() / THINGS as f64;
        let uniform = mean * place.looks.iter().sum::<f64>();
        let best = expected(place, &things, &best_things);
        ExpectedRewards { things, uniform, best, best_things }
    }

    /// Returns the outcomes if these things are shown in this order.
    pub(super) fn outcomes(&self, place: &DemoPlace, shown: &[usize]) -> Vec<DemoOutcome> {
        let stream = hash("demo coins", &[&self.coins.to_be_bytes(), place.id.as_bytes()]);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(stream.word());
        // All coins are drawn whatever is shown, so they are the same under any choice.
        let looks: Vec<f64> = place.looks.iter().map(|_| rng.random()).collect();
        let coins: [(f64, f64); THINGS] = std::array::from_fn(|_| (rng.random(), rng.random()));
        let clicked = |&(position, &thing): &(usize, &usize)| {
            looks[position] < place.looks[position] && coins[thing].0 < self.liking(place, thing)
        };
        let outcome = |(_, &thing): (usize, &usize)| DemoOutcome {
            thing,
            ordered: place.order > 0.0 && coins[thing].1 < self.ordering(),
        };
        shown.iter().take(place.looks.len()).enumerate().filter(clicked).map(outcome).collect()
    }
}

/// Returns the expected reward of things shown in this order, from their expected rewards when looked at.
pub(super) fn expected(place: &DemoPlace, things: &[f64; THINGS], shown: &[usize]) -> f64 {
    place.looks.iter().zip(shown).map(|(look, &thing)| look * things[thing]).sum()
}

/// Returns the reward of outcomes, reward units.
pub(super) fn reward(place: &DemoPlace, outcomes: &[DemoOutcome]) -> f64 {
    outcomes.iter().map(|outcome| place.click + if outcome.ordered { place.order } else { 0.0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::catalogue::PLACES;

    /// Returns `things` in an order of its own for each shopper, independent of the shopper's coins.
    fn shuffled(number: u64) -> Vec<usize> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1_000_003 + number);
        let mut things: Vec<usize> = (0..THINGS).collect();
        for i in (1..THINGS).rev() {
            things.swap(i, rng.random_range(0..=i));
        }
        things
    }

    /// The mean of `reward − formula` over 40,000 shoppers is off by its standard error. Five of those is a false
    /// alarm once in 1.7 million fresh seeds, for each of the six means here.
    #[test]
    fn expected_rewards_equal_mean_rewards() {
        const SHOPPERS: u32 = 40_000;
        for place in &PLACES {
            let (mut uniform, mut best) = (Vec::new(), Vec::new());
            for number in 0..u64::from(SHOPPERS) {
                let shopper = DemoShopper::arrive(7, number);
                let worth = shopper.worth(place);
                uniform.push(reward(place, &shopper.outcomes(place, &shuffled(number))) - worth.uniform);
                best.push(reward(place, &shopper.outcomes(place, &worth.best_things)) - worth.best);
            }
            for (policy, differences) in [("uniform", uniform), ("best", best)] {
                let n = f64::from(SHOPPERS);
                let mean = differences.iter().sum::<f64>() / n;
                let variance = differences.iter().map(|d| math::square(d - mean)).sum::<f64>() / (n - 1.0);
                let error = (variance / n).sqrt();
                assert!(error > 0.0 && mean.abs() < 5.0 * error, "{} {policy}: {mean} ± {error}", place.id);
            }
        }
    }

    #[test]
    fn the_best_thing_depends_on_the_segment() {
        for place in &PLACES {
            let best_of = |segment: Segment| {
                let mut sums = [0.0; THINGS];
                for shopper in (0..5_000).map(|n| DemoShopper::arrive(7, n)).filter(|s| s.segment == segment) {
                    for (sum, worth) in sums.iter_mut().zip(shopper.worth(place).things) {
                        *sum += worth;
                    }
                }
                (0..THINGS).max_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap()
            };
            let best = [Segment::New, Segment::Returning, Segment::Loyal].map(best_of);
            assert!(best[0] != best[1] || best[0] != best[2], "{}: {best:?}", place.id);
        }
    }

    /// No choice that ignores the shopper does as well as one that reads the context, by a wide margin.
    #[test]
    fn the_best_fixed_choice_is_far_from_the_best() {
        for place in &PLACES {
            let (mut sums, mut uniform, mut best) = ([0.0; THINGS], 0.0, 0.0);
            for worth in (0..5_000).map(|n| DemoShopper::arrive(7, n).worth(place)) {
                sums.iter_mut().zip(worth.things).for_each(|(sum, thing)| *sum += thing);
                uniform += worth.uniform;
                best += worth.best;
            }
            let mut order: Vec<usize> = (0..THINGS).collect();
            order.sort_by(|&a, &b| sums[b].total_cmp(&sums[a]));
            let fixed = expected(place, &sums, &order);
            assert!(uniform < fixed && fixed * 1.25 < best, "{}: {uniform} {fixed} {best}", place.id);
        }
    }

    #[test]
    fn chances_lie_between_0_and_1_and_orders_follow_clicks() {
        for (number, place) in (0..2_000).flat_map(|n| PLACES.iter().map(move |place| (n, place))) {
            let shopper = DemoShopper::arrive(11, number);
            assert!((0..THINGS).all(|thing| (0.0..=1.0).contains(&shopper.liking(place, thing))));
            assert!((0.0..=1.0).contains(&shopper.ordering()) && (0.0..=1.0).contains(&shopper.price_sensitivity));
            assert!(place.looks.iter().all(|look| (0.0..=1.0).contains(look)));
            let worth = shopper.worth(place);
            assert!(worth.best_things.len() == place.looks.len() && worth.best >= worth.uniform);
            let outcomes = shopper.outcomes(place, &worth.best_things);
            assert!(outcomes.iter().all(|outcome| worth.best_things.contains(&outcome.thing)));
        }
    }

    #[test]
    fn a_seed_gives_the_same_shoppers_and_coins_ignore_the_choice() {
        assert_eq!(DemoShopper::arrive(7, 42), DemoShopper::arrive(7, 42));
        assert_ne!(DemoShopper::arrive(7, 42), DemoShopper::arrive(8, 42));
        let place = &PLACES[2];
        for shopper in (0..3_000).map(|n| DemoShopper::arrive(7, n)) {
            // The first position is always looked at, so it is clicked whatever stands below it.
            let clicked = |shown: &[usize]| {
                shopper.outcomes(place, shown).first().is_some_and(|outcome| outcome.thing == shown[0])
            };
            assert_eq!(clicked(&[3, 1, 2]), clicked(&[3, 7, 8]));
        }
    }
}
