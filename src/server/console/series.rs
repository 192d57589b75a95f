//! Page "Over time" of a slot: reward, shares and the cost of exploring on one axis of time, with what was changed.

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    draw::{TimeLine, over_time, unit},
    fields::time,
    layout::{ConsolePage, slot_path},
    live::live_part,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::Unit,
    engine::{AmountFormat, SeriesCounts, SeriesStep, SlotView, rewards_since},
    slot::ArmId,
};

/// Number of arms that have a line.
const ARMS: usize = 6;
/// Number of steps that are drawn.
const STEPS: usize = 300;
/// Number of changes that are listed.
const CHANGES: usize = 20;

/// Length of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepChoice {
    FiveMinutes,
    #[default]
    Hour,
    Day,
}

impl StepChoice {
    const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::FiveMinutes, "five_minutes", "5 minutes"), (Self::Hour, "hour", "hours"), (Self::Day, "day", "days")];

    fn step(self) -> SeriesStep {
        match self {
            Self::FiveMinutes => SeriesStep::FiveMinutes,
            Self::Hour => SeriesStep::Hour,
            Self::Day => SeriesStep::Day,
        }
    }
}

/// Steps that the page shows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SeriesQuery {
    #[serde(default)]
    step: StepChoice,
}

/// Value per decision of each step, without steps from before the goal changed.
fn per_decision(steps: &[SeriesCounts], since_us: Option<i64>, of: impl Fn(&SeriesCounts) -> f64) -> Vec<Option<f64>> {
    let value = |counts: &SeriesCounts| {
        let known = counts.totals.decisions > 0 && since_us.is_none_or(|since_us| counts.start_us >= since_us);
        known.then(|| of(counts) / counts.totals.decisions as f64)
    };
    steps.iter().map(value).collect()
}

fn shares(view: &SlotView, steps: &[SeriesCounts]) -> Vec<TimeLine> {
    let mut totals: Vec<(u32, u64)> = Vec::new();
    for arm in steps.iter().flat_map(|counts| &counts.arms) {
        match totals.iter_mut().find(|(known, _)| *known == arm.arm) {
            Some((_, showings)) => *showings += arm.showings,
            None => totals.push((arm.arm, arm.showings)),
        }
    }
    totals.sort_by_key(|(_, showings)| std::cmp::Reverse(*showings));
    let line = |(arm, _): &(u32, u64)| {
        let share = |counts: &SeriesCounts| {
            let all: u64 = counts.arms.iter().map(|arm| arm.showings).sum();
            let own = counts.arms.iter().find(|of| of.arm == *arm).map_or(0, |of| of.showings);
            (all > 0).then(|| own as f64 / all as f64)
        };
        let name = view.arms.names().get(*arm as usize).map_or_else(|| "other arms".to_owned(), ArmId::to_string);
        TimeLine { name, values: steps.iter().map(share).collect() }
    };
    totals.iter().take(ARMS).map(line).collect()
}

fn changes(view: &SlotView, from_us: i64, slot: &str) -> Markup {
    let made: Vec<_> = view.revisions.iter().rev().filter(|revision| revision.at_us >= from_us).take(CHANGES).collect();
    html! {
        @if !made.is_empty() {
            h2 { "Changes in this time" }
            ul.moments {
                @for revision in made {
                    li { span { (time(revision.at_us)) } " " a href=(format!("{}#revision-{}", slot_path(slot, "history"), revision.number)) { (revision.change) } " " (revision.why.reason) }
                }
            }
        }
    }
}

/// Page "Over time".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<SeriesQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let now_us = console.now_us()?;
    let step = query.step.step();
    let mut steps = view.series.between(now_us - step.kept_us(), now_us + 1, step);
    let left_out = steps.len().saturating_sub(STEPS);
    steps.drain(..left_out);
    let amounts = AmountFormat::of_slot(&view);
    let times: Vec<i64> = steps.iter().map(|counts| counts.start_us).collect();
    let since_us = rewards_since(&view);
    let line = |name: &str, values| TimeLine { name: name.to_owned(), values };
    let reward = line("reward per decision", per_decision(&steps, since_us, |counts| counts.totals.reward));
    let cost =
        line("cost of exploring per decision", per_decision(&steps, since_us, |counts| counts.totals.exploration_cost));
    let decisions = line("decisions", steps.iter().map(|counts| Some(counts.totals.decisions as f64)).collect());
    let content = html! {
        p {
            "Steps of "
            @for (choice, value, name) in StepChoice::ALL {
                a href=(format!("{}?step={value}", slot_path(&slot, "series"))) aria-current=[(choice == query.step).then_some("true")] { (name) } " "
            }
        }
        @if times.len() < 2 { p { "There are not two steps with decisions yet. Take shorter steps, or come back later." } }
        @else {
            (live_part("charts", &html! { div.figures {
                (over_time("reward", "Reward per decision", "Of the decisions made in each step, with the rewards that came for them so far.", unit(&amounts), &times, &[reward]))
                (over_time("shares", "Share of the showings", "The arms with the most showings.", Unit::Part, &times, &shares(&view, &steps)))
                (over_time("cost", "Cost of exploring per decision", "Expected reward that was given up to learn.", unit(&amounts), &times, &[cost]))
                (over_time("decisions", "Decisions", "", Unit::Plain, &times, &[decisions]))
            } }))
        }
        @if left_out > 0 { p.hint { "The last " (STEPS) " steps; " (left_out) " older ones are left out." } }
        @if let Some(first) = times.first() { (changes(&view, *first, &slot)) }
    };
    let title = format!("{slot}: over time");
    let same = format!("slotwise series {slot}");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "series")
        .same_by(same)
        .same_by("POST /v1/GetTimeSeries")
        .show(&content))
}
