//! Each regime with its worlds, its measure and its criterion.

use slotwise::bandit::{Expansion, LinearSpec, ModelSpec};

use super::{
    World, WorldMeasure,
    draws::Draws,
    plain::{LogisticPlayer, PlainPlayer, PlainRule},
    shop,
    slot::{RegimeSlotSettings, SlotPlayer},
    stream::{Course, Stream},
    wild,
};

/// Criterion of a regime.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Criterion {
    /// The slot's measure is at least this.
    AtLeast(f64),
    /// The slot's measure is at most this.
    AtMost(f64),
    /// The slot's measure is at most this many times that of the other learner that is best on average.
    AtMostTimes(f64),
    /// The slot's measure is at least that of the other.
    NotBelow,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Regime {
    pub(super) name: &'static str,
    pub(super) stream: &'static str,
    pub(super) measures: &'static str,
    pub(super) criterion: Criterion,
    pub(super) measure: fn(World) -> WorldMeasure,
}

impl Regime {
    /// Returns whether one of the names is this regime's, or its number. No name stands for all.
    pub(super) fn is_named(&self, names: &[String]) -> bool {
        let number = self.name.split(' ').next().unwrap_or(self.name);
        names.is_empty() || names.iter().any(|name| name == self.name || name == number)
    }
}

/// Names of all regimes.
pub const NAMES: [&str; 24] = {
    let mut names = [""; 24];
    let mut i = 0;
    while i < names.len() {
        names[i] = REGIMES[i].name;
        i += 1;
    }
    names
};

const fn regime(
    name: &'static str,
    stream: &'static str,
    measures: &'static str,
    criterion: Criterion,
    measure: fn(World) -> WorldMeasure,
) -> Regime {
    Regime { name, stream, measures, criterion, measure }
}

const AFTER: &str = "reward per decision, 1,001 to 2,000";

pub(super) static REGIMES: [Regime; 24] = [
    regime("R1 1e3", "one wild number, 1e3", AFTER, Criterion::AtLeast(0.75), |w| wild_number(w, 1e3)),
    regime("R1 1e4", "one wild number, 1e4", AFTER, Criterion::AtLeast(0.75), |w| wild_number(w, 1e4)),
    regime("R1 1e6", "one wild number, 1e6", AFTER, Criterion::AtLeast(0.75), |w| wild_number(w, 1e6)),
    regime("R1 1e12", "one wild number, 1e12", AFTER, Criterion::AtLeast(0.75), |w| wild_number(w, 1e12)),
    regime("R2", "sentinel -999 in 5 %", "reward per decision", Criterion::AtLeast(0.74), sentinel),
    regime("R3", "a number sent as exp(2z)", "regret", Criterion::AtMostTimes(1.5), skew),
    regime("R4", "new arm, rewards far from 0", "share of the best arm", Criterion::AtLeast(0.8), new_arm),
    regime("R5 locked", "level 4, 64 slots", "slots locked on a worse arm", Criterion::AtMost(1.0), locked),
    regime("R5 share", "level 4, 64 slots", "share of the best arm", Criterion::NotBelow, level),
    regime("R6", "200 arms, 30 rewards a day", "regret", Criterion::AtMostTimes(1.05), scarce),
    regime("R7", "20 arms, no context", "regret", Criterion::AtMostTimes(1.05), no_context),
    regime("R8 1", "rare money, log sd 1", "regret / uniform's", Criterion::AtMostTimes(1.0), |w| rare_money(w, 1.0)),
    regime("R8 1.8", "rare money, log sd 1.8", "regret / uniform's", Criterion::AtMostTimes(1.0), |w| {
        rare_money(w, 1.8)
    }),
    regime("R8 unit", "rare money, unit 1e-4", "regret / uniform's", Criterion::AtMostTimes(1.0), money_unit),
    regime("R9", "a user id beside 8 words", "regret", Criterion::AtMostTimes(1.05), user_id),
    regime("R10 words", "words that come later", "reward of the worst sixth", Criterion::AtLeast(0.335), campaigns),
    regime("R10 uids", "600 user ids, then x", AFTER, Criterion::AtLeast(0.77), fresh_ids),
    regime("R11", "numbers as text", AFTER, Criterion::AtLeast(0.74), numbers_as_text),
    regime("R12", "first value wild, winsorised", "share of the worst arm", Criterion::AtMost(0.1), wild_value),
    regime("R13", "more products than budget", "loss", Criterion::AtMostTimes(1.1), products),
    regime("R14", "moving and bent", "regret", Criterion::AtMostTimes(1.05), moving),
    regime("R15", "one loud subject", "share of the worse arm", Criterion::AtMost(0.03), loud_subject),
    regime("R8 1 silent", "rare money, zeros silent", "regret / uniform's", Criterion::AtMostTimes(1.0), |w| {
        rare_money(World { silent_zeros: true, ..w }, 1.0)
    }),
    regime("R6 silent", "200 arms, zeros silent", "regret", Criterion::AtMostTimes(1.05), |w| {
        scarce(World { silent_zeros: true, ..w })
    }),
];

/// Plays the stream by a slot with these settings.
fn by_slot(world: World, stream: &Stream, settings: RegimeSlotSettings) -> Course {
    let settings = RegimeSlotSettings { silent_zeros: world.silent_zeros, ..settings };
    Course::play(stream, &mut SlotPlayer::new(stream, settings, world.seed))
}

fn by_default(world: World, stream: &Stream) -> Course {
    by_slot(world, stream, RegimeSlotSettings::default())
}

fn by_rule(world: World, stream: &Stream, rule: PlainRule) -> Course {
    Course::play(stream, &mut PlainPlayer::new(rule, world.seed))
}

/// Measures the default slot on one stream and on another that it is compared with.
fn on_two(
    world: World,
    of: impl Fn(bool) -> Stream,
    other: &'static str,
    measure: impl Fn(&Course) -> f64,
) -> WorldMeasure {
    let [slot, clean] = [true, false].map(|hard| measure(&by_default(world, &of(hard))));
    WorldMeasure { slot, others: vec![(other, clean)] }
}

fn after(course: &Course) -> f64 {
    course.mean(wild::WILD_AT, 2 * wild::WILD_AT)
}

fn wild_number(world: World, value: f64) -> WorldMeasure {
    let of = |hard: bool| wild::one_wild_number(&mut Draws::new("R1", world.seed), hard.then_some(value));
    on_two(world, of, "without it", after)
}

fn sentinel(world: World) -> WorldMeasure {
    let of = |hard: bool| wild::sentinel(&mut Draws::new("R2", world.seed), hard.then_some(-999.0));
    on_two(world, of, "left out", |course| course.mean(0, course.arms.len()))
}

fn skew(world: World) -> WorldMeasure {
    on_two(world, |hard| wild::skew(&mut Draws::new("R3", world.seed), hard), "sent as z", Course::regret)
}

fn new_arm(world: World) -> WorldMeasure {
    let course = by_default(world, &wild::new_arm(&mut Draws::new("R4", world.seed)));
    WorldMeasure { slot: course.share(2, 500, 2_000), others: Vec::new() }
}

/// Number of slots in each world of R5.
const SLOTS: u64 = 64;

/// Plays the slots of a world of R5 and returns the share of the best arm in the last 500 decisions of each.
fn shares_at_level(world: World, less: f64) -> Vec<f64> {
    let slots = if world.small { 4 } else { SLOTS };
    let one = |slot: u64| {
        let world = World { seed: world.seed * SLOTS + slot, ..world };
        by_default(world, &wild::level(&mut Draws::new("R5", world.seed), less)).share(1, 1_500, 2_000)
    };
    (0..slots).map(one).collect()
}

fn locked(world: World) -> WorldMeasure {
    let count = |less| shares_at_level(world, less).iter().filter(|&&share| share < 0.1).count() as f64;
    WorldMeasure { slot: count(0.0), others: vec![("around 0", count(4.0))] }
}

fn level(world: World) -> WorldMeasure {
    let mean = |less| {
        let shares = shares_at_level(world, less);
        shares.iter().sum::<f64>() / shares.len() as f64
    };
    WorldMeasure { slot: mean(0.0), others: vec![("around 0", mean(4.0))] }
}

fn scarce(world: World) -> WorldMeasure {
    let stream = shop::scarce(&mut Draws::new("R6", world.seed), world.rounds(90_000));
    let rule = |rule| by_rule(world, &stream, rule).regret();
    let logistic = Course::play(&stream, &mut LogisticPlayer::new(world.seed)).regret();
    WorldMeasure {
        slot: by_default(world, &stream).regret(),
        others: vec![
            ("Beta-TS(1,1)", rule(PlainRule::BetaBernoulli)),
            ("ε-greedy .05", rule(PlainRule::EpsilonGreedy)),
            ("logistic TS", logistic),
        ],
    }
}

fn no_context(world: World) -> WorldMeasure {
    let stream = shop::no_context(&mut Draws::new("R7", world.seed), world.rounds(100_000));
    let plain = by_rule(world, &stream, PlainRule::BetaBernoulli).regret();
    WorldMeasure { slot: by_default(world, &stream).regret(), others: vec![("Beta-TS(1,1)", plain)] }
}

fn money(world: World, stream: &Stream) -> WorldMeasure {
    let rule = |rule| by_rule(world, stream, rule).share_of_uniform();
    WorldMeasure {
        slot: by_default(world, stream).share_of_uniform(),
        others: vec![("NIG", rule(PlainRule::NormalInverseGamma)), ("hurdle TS", rule(PlainRule::Hurdle))],
    }
}

fn rare_money(world: World, log_deviation: f64) -> WorldMeasure {
    money(world, &shop::rare_money(&mut Draws::new("R8", world.seed), world.rounds(60_000), log_deviation))
}

fn money_unit(world: World) -> WorldMeasure {
    let stream = shop::rare_money(&mut Draws::new("R8", world.seed), world.rounds(60_000), 1.0);
    money(world, &stream.in_unit(1e-4))
}

fn user_id(world: World) -> WorldMeasure {
    let rounds = world.rounds(60_000);
    on_two(world, |hard| shop::user_id(&mut Draws::new("R9", world.seed), rounds, hard), "without it", Course::regret)
}

fn campaigns(world: World) -> WorldMeasure {
    let rounds = world.rounds(30_000);
    let course = by_default(world, &shop::campaigns(&mut Draws::new("R10", world.seed), rounds));
    let sixth = rounds / 6;
    let worst = (0..6).map(|i| course.mean(i * sixth, (i + 1) * sixth)).fold(f64::INFINITY, f64::min);
    WorldMeasure { slot: worst, others: Vec::new() }
}

fn fresh_ids(world: World) -> WorldMeasure {
    let stream = wild::after_user_ids(&mut Draws::new("R10", world.seed), 600);
    let course = by_default(world, &stream);
    WorldMeasure { slot: course.mean(600 + wild::WILD_AT, 600 + 2 * wild::WILD_AT), others: Vec::new() }
}

fn numbers_as_text(world: World) -> WorldMeasure {
    on_two(world, |hard| wild::numbers_as_text(&mut Draws::new("R11", world.seed), hard), "as numbers", after)
}

fn wild_value(world: World) -> WorldMeasure {
    let of = |hard| wild::wild_value(&mut Draws::new("R12", world.seed), hard);
    on_two(world, of, "without it", |course| course.share(2, 200, 2_000))
}

fn products(world: World) -> WorldMeasure {
    let stream = shop::products(&mut Draws::new("R13", world.seed), world.rounds(13_000));
    let loss = |course: &Course| 1.0 - course.mean(0, course.arms.len());
    let model = Some(ModelSpec::portfolio(Some(512), None, None));
    WorldMeasure {
        slot: loss(&by_default(world, &stream)),
        others: vec![(
            "budget 512",
            loss(&by_slot(world, &stream, RegimeSlotSettings { model, ..Default::default() })),
        )],
    }
}

fn moving(world: World) -> WorldMeasure {
    const HOUR_US: i64 = 3_600_000_000;
    const SINGLE: [(&str, Expansion, i64); 8] = [
        ("linear 12 h", Expansion::None, 12),
        ("linear 1 d", Expansion::None, 24),
        ("linear 2 d", Expansion::None, 48),
        ("linear 14 d", Expansion::None, 336),
        ("fourier 12 h", Expansion::Fourier, 12),
        ("fourier 1 d", Expansion::Fourier, 24),
        ("fourier 2 d", Expansion::Fourier, 48),
        ("fourier 14 d", Expansion::Fourier, 336),
    ];
    let stream = shop::moving(&mut Draws::new("R14", world.seed), world.rounds(20_000));
    let single = |&(name, expansion, hours): &(&'static str, Expansion, i64)| {
        let model = Some(ModelSpec::Linear(LinearSpec { expansion, ..LinearSpec::default() }));
        let settings =
            RegimeSlotSettings { model, half_life_us: Some(hours * HOUR_US), ..RegimeSlotSettings::default() };
        (name, by_slot(world, &stream, settings).regret())
    };
    WorldMeasure { slot: by_default(world, &stream).regret(), others: SINGLE.iter().map(single).collect() }
}

fn loud_subject(world: World) -> WorldMeasure {
    let course = by_default(world, &shop::loud_subject(&mut Draws::new("R15", world.seed)));
    let (people, loud, next) = shop::LOUD;
    let before = course.share(1, people - next, people);
    WorldMeasure { slot: course.share(1, people + loud, people + loud + next), others: vec![("before", before)] }
}
