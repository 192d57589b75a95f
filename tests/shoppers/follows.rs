//! Measurement of how soon slots follow what a shopper clicks.
//!
//! A shopper clicks products of one category with probability 0.4 and others with 0.04, at most one on a page. So one
//! first click in six is on another category, and a slot that follows it is wrong about the shopper. Shares are therefore
//! given twice: over all sessions, and over those whose clicks so far were on the shopper's category. The slots know
//! nothing of a shopper but the ids of subject and session.

use rand::RngExt as _;
use slotwise::{
    engine::Subject,
    slot::{Controls, Definition, SlotKind},
};

use super::shop::{PlayedShop, SECOND_US, product, slot_id, subject};

const CATEGORIES: [&str; 3] = ["shoes", "hats", "coats"];
/// Pages of a session.
const PAGES: usize = 8;
/// Clicks after which shares are reported.
const CLICKS: usize = 4;

/// Share of first positions from the shopper's category, by the number of clicks before.
#[derive(Debug, Clone, Default)]
struct FirstPositions {
    /// Pages, by clicks, and by whether a click was on another category.
    pages: [[u32; 2]; CLICKS],
    /// Pages whose first position is from the shopper's category.
    own: [[u32; 2]; CLICKS],
    /// Session and clicks of the page that was counted last.
    last: Option<(String, usize)>,
}

/// Shares by the number of clicks, over all sessions, and over those without a click on another category.
#[derive(Debug, Clone, Copy)]
struct FollowingShares {
    all: [f64; CLICKS],
    straight: [f64; CLICKS],
}

/// Clicks of a session so far.
#[derive(Debug, Clone, Copy, Default)]
struct SessionClicks {
    clicks: usize,
    strayed: bool,
}

impl FirstPositions {
    fn add(&mut self, session: SessionClicks, own: bool) {
        let SessionClicks { clicks, strayed } = session;
        if clicks < CLICKS {
            self.pages[clicks][usize::from(strayed)] += 1;
            self.own[clicks][usize::from(strayed)] += u32::from(own);
        }
    }

    fn shares(&self) -> FollowingShares {
        let share = |own: u32, pages: u32| f64::from(own) / f64::from(pages.max(1));
        let sum = |counts: [u32; 2]| counts[0] + counts[1];
        FollowingShares {
            all: std::array::from_fn(|i| share(sum(self.own[i]), sum(self.pages[i]))),
            straight: std::array::from_fn(|i| share(self.own[i][0], self.pages[i][0])),
        }
    }
}

/// Creates a ranking of 12 products in 3 categories.
fn ranking(id: &str) -> Definition {
    let arms = (0..12).map(|i| product(&format!("{id}-{i}"), CATEGORIES[i % 3])).collect();
    // The pages of a holdout follow nobody.
    let controls = Controls { holdout: Some(0.0), ..Controls::default() };
    Definition { kind: SlotKind::Ranking, arms, controls, ..Definition::new(slot_id(id)) }
}

fn category(item: &str) -> &'static str {
    let number: usize = item.rsplit('-').next().unwrap().parse().unwrap();
    CATEGORIES[number % 3]
}

impl PlayedShop {
    /// Shows a page and plays what the shopper does.
    ///
    /// A page is counted if it is the slot's first one after the latest click. Later ones would count the sessions that
    /// began with a wrong click more often, because those click less.
    fn page(
        &mut self,
        slot: &str,
        who: &Subject,
        wants: &str,
        session: &mut SessionClicks,
        counted: &mut FirstPositions,
    ) {
        self.at_us += 15 * SECOND_US;
        let decided = self.decide(slot, who);
        let page = Some((who.session_id.clone(), session.clicks));
        if counted.last != page {
            counted.add(*session, category(decided.chosen[0].arm.as_str()) == wants);
            counted.last = page;
        }
        self.at_us += 5 * SECOND_US;
        for chosen in &decided.chosen {
            let item = chosen.arm.as_str();
            let is_wanted = category(item) == wants;
            if self.rng.random::<f64>() < if is_wanted { 0.4 } else { 0.04 } {
                self.click(who, item);
                *session = SessionClicks { clicks: session.clicks + 1, strayed: session.strayed || !is_wanted };
                return;
            }
        }
    }

    /// Plays pages of one slot. Stops after `clicks` clicks.
    fn pages(
        &mut self,
        slot: &str,
        who: &Subject,
        wants: &str,
        clicks: usize,
        counted: &mut FirstPositions,
    ) -> SessionClicks {
        let mut session = SessionClicks::default();
        for _ in 0..PAGES {
            if session.clicks >= clicks {
                break;
            }
            self.page(slot, who, wants, &mut session, counted);
        }
        self.at_us += 60 * SECOND_US;
        session
    }
}

/// Shopper of a session, and the category that it wants. A returning shopper has the same wish in every session.
fn shopper(i: usize, returning: bool) -> (Subject, &'static str) {
    let (id, wish) = if returning { (format!("c{}", i % 50), i % 50) } else { (String::new(), i) };
    (subject(&id, &format!("s{i}")), CATEGORIES[(wish * 7 + wish / 5) % 3])
}

/// Number of seeds of each measurement. The variable asks for more, for figures that are published.
fn seeds() -> u64 {
    std::env::var("SLOTWISE_FOLLOWS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(2)
}

/// Trains a slot on sessions and measures 100 fresh ones on it.
fn in_one_slot(sessions: usize, returning: bool) -> FirstPositions {
    let mut sum = FirstPositions::default();
    for seed in 0..seeds() {
        let mut shop = PlayedShop::new(seed);
        shop.create(ranking("search"));
        let mut unused = FirstPositions::default();
        for i in 0..sessions + 100 {
            let (who, wants) = shopper(i, returning);
            let counted = if i < sessions { &mut unused } else { &mut sum };
            shop.pages("search", &who, wants, usize::MAX, counted);
        }
    }
    sum
}

/// Trains two slots on sessions of their own. Fresh shoppers click in the one, and then see the other for the first time.
fn in_a_second_slot(sessions: usize) -> FirstPositions {
    let mut sum = FirstPositions::default();
    for seed in 0..seeds().div_ceil(2) {
        let mut shop = PlayedShop::new(seed);
        shop.create(ranking("search"));
        shop.create(ranking("block"));
        let mut unused = FirstPositions::default();
        for i in 0..2 * sessions {
            let (who, wants) = shopper(i, false);
            shop.pages(["search", "block"][i % 2], &who, wants, usize::MAX, &mut unused);
        }
        for i in 2 * sessions..2 * sessions + 400 {
            let (who, wants) = shopper(i, false);
            let mut session = shop.pages("search", &who, wants, i % CLICKS, &mut unused);
            // The shopper may click here too: a slot that is shown and never clicked learns not to follow.
            shop.page("block", &who, wants, &mut session, &mut sum);
        }
    }
    sum
}

/// Returns the clicks on a new category until it stands first, each a mean over the sessions in which it did: a session
/// changes its wish after half of its pages.
fn clicks_to_adapt(sessions: usize) -> f64 {
    let (mut clicks, mut adapted) = (0, 0);
    let mut shop = PlayedShop::new(7);
    shop.create(ranking("search"));
    let mut unused = FirstPositions::default();
    for i in 0..sessions + 60 {
        let (who, wants) = shopper(i, false);
        shop.pages("search", &who, wants, usize::MAX, &mut unused);
        if i < sessions {
            continue;
        }
        let new_wish = CATEGORIES[(CATEGORIES.iter().position(|one| *one == wants).unwrap() + 1) % 3];
        let mut session = SessionClicks::default();
        for _ in 0..20 {
            shop.page("search", &who, new_wish, &mut session, &mut unused);
            let decided = shop.decide("search", &who);
            if category(decided.chosen[0].arm.as_str()) == new_wish {
                (clicks, adapted) = (clicks + session.clicks, adapted + 1);
                break;
            }
        }
    }
    assert!(adapted >= 50, "{adapted} of 60 sessions");
    clicks as f64 / f64::from(adapted)
}

/// Two standard errors of a share over that many sessions.
fn tolerance(sessions: u32) -> f64 {
    2.0 * (0.8 * 0.2 / f64::from(sessions)).sqrt()
}

fn print_and_check(what: &str, sessions: usize, counted: &FirstPositions) {
    let FollowingShares { all, straight } = counted.shares();
    println!("{what}, {sessions} sessions: {all:.2?}, without stray clicks {straight:.2?}");
    if sessions == 400 {
        let measured = counted.pages[1][0] + counted.pages[1][1];
        assert!(all[1] + tolerance(measured) >= 0.8, "{what}: {all:?}, {measured} sessions");
        assert!(straight[1] >= 0.8, "{what}: {straight:?}");
    }
}

#[test]
fn a_default_slot_follows_a_shopper_after_one_click() {
    for (sessions, returning) in [(100, false), (400, false), (400, true)] {
        let what = if returning { "one slot, returning shoppers" } else { "one slot, new shoppers" };
        print_and_check(what, sessions, &in_one_slot(sessions, returning));
    }
}

#[test]
fn a_slot_that_never_showed_this_shopper_anything_follows_its_clicks_elsewhere() {
    print_and_check("a second slot, new shoppers", 400, &in_a_second_slot(400));
}

#[test]
fn a_slot_follows_a_shopper_whose_wish_changes() {
    let clicks = clicks_to_adapt(400);
    println!("clicks until a new wish stands first: {clicks:.2}");
    assert!(clicks <= 3.0, "{clicks}");
}
