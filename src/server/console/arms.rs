//! Page "Arms" of a slot: what each arm earns, where it was shown and if everybody got it.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    arm_form::items_note,
    draw::{RowChart, RowFigure, rows, unit},
    fields::{Meaning, everybody_text, form_path, may_tune, meaning, meanings, percent, unbroken},
    layout::{ConsolePage, slot_path},
    live::live_part,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, ArmReport, IfEverybody, SlotView},
};

/// Number of arms of a page.
const ARMS: usize = 200;
/// Number of arms that are drawn.
const DRAWN: usize = 30;

/// Meanings of the page's figures.
pub(super) const MEANINGS: [Meaning; 6] = [
    meaning(
        "if everybody got it",
        "Reward per showing if every shopper got the arm. Arms are compared by it. Withheld where the decisions cannot tell.",
        "reading-the-report#if-everybody-got-it",
    ),
    meaning(
        "where it was shown",
        "Reward per showing as it was, for the shoppers whom the policy chose.",
        "reading-the-report#where-shown",
    ),
    meaning("share", "Part of everything that was shown.", "glossary#propensity"),
    meaning(
        "chance best",
        "Probability that the arm earns most if everybody got it.",
        "reading-the-report#chance-best",
    ),
    meaning("rewarded", "Showings with an event that counts.", "glossary#goal"),
    meaning(
        "expected loss",
        "Reward per showing that is lost by taking this arm in place of the best one.",
        "reading-the-report#expected-loss",
    ),
];

/// Arms that the page shows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ArmsQuery {
    /// Number of arms that come before.
    #[serde(default)]
    from: usize,
}

fn row(arm: &ArmReport, amounts: &AmountFormat) -> RowFigure {
    let figure = match arm.if_everybody {
        IfEverybody::Known { mean, low, high, .. } => Some((mean, low, high)),
        IfEverybody::Withheld(_) => None,
    };
    RowFigure { name: arm.arm.to_string(), figure, words: everybody_text(&arm.if_everybody, amounts) }
}

/// Mean where the arm was shown, with its interval, in words.
fn where_shown(arm: &ArmReport, amounts: &AmountFormat) -> String {
    match arm.interval {
        _ if arm.shown == 0 => "not shown yet".to_owned(),
        Some((low, high)) => {
            unbroken(&format!("{} ({} to {})", amounts.amount(arm.mean), amounts.amount(low), amounts.amount(high)))
        }
        None => format!("{} (too few rewards for an interval)", amounts.amount(arm.mean)),
    }
}

fn where_row(arm: &ArmReport, amounts: &AmountFormat) -> RowFigure {
    let figure = arm.interval.filter(|_| arm.shown > 0).map(|(low, high)| (arm.mean, low, high));
    RowFigure { name: arm.arm.to_string(), figure, words: where_shown(arm, amounts) }
}

/// Content of the page.
async fn content(console: SharedConsole, visitor: Visitor, view: Arc<SlotView>, now_us: i64, from: usize) -> Markup {
    let slot = view.definition.id.as_str();
    let report = console.reports.report(&view, now_us).await;
    let amounts = AmountFormat::of_report(&report);
    let shown: Vec<&ArmReport> = report.arms.iter().skip(from).take(ARMS).collect();
    let drawn: Vec<RowFigure> = shown.iter().take(DRAWN).map(|arm| row(arm, &amounts)).collect();
    let arm_path = slot_path(slot, "arm");
    let where_drawn: Vec<RowFigure> = shown.iter().take(DRAWN).map(|arm| where_row(arm, &amounts)).collect();
    let everybody = RowChart {
        id: "if-everybody",
        title: "If everybody got it",
        note: "What each arm would earn per showing if every shopper got it, with an interval of 95 %. A figure that the decisions so far cannot tell is not shown.",
        unit: unit(&amounts),
        axis: "per showing",
        noun: "arm",
    };
    let where_it_was = RowChart {
        id: "where-shown",
        title: "Where it was shown",
        note: "What each arm earned per showing. The policy shows an arm where it looks good, so arms are not compared by this.",
        ..everybody
    };
    let next = from.saturating_add(ARMS);
    html! {
        p.sentence { (unbroken(&report.status.sentence)) }
        @if view.definition.takes_items() { (items_note(&view)) }
        @else if may_tune(&visitor) { p { a.action href=(arm_path) { "New arm" } } }
        @if drawn.is_empty() { p { "The slot has no arm yet. An arm is one of the things that can be shown." } }
        @else {
            div.figures {
                (rows(everybody, &drawn))
                (rows(where_it_was, &where_drawn))
            }
        }
        h2 { "Figures" }
        (live_part("figures", &figures(&shown, &amounts, &arm_path)))
        (meanings(&MEANINGS))
        @if next < report.arms.len() { p { a href=(format!("{}?from={next}", slot_path(slot, "arms"))) { "More arms" } } }
    }
}

fn figures(arms: &[&ArmReport], amounts: &AmountFormat, arm_path: &str) -> Markup {
    html! {
        div.scroll.wide tabindex="0" {
            table {
                caption { "Arms" }
                thead { tr {
                    th scope="col" { "arm" } th scope="col" { "shown" } th scope="col" { "share" }
                    th.text scope="col" { "if everybody got it" } th.text scope="col" { "where it was shown" }
                    th scope="col" { "chance best" } th scope="col" { "rewarded" } th scope="col" { "expected loss" }
                } }
                tbody {
                    @for arm in arms {
                        tr {
                            th.text scope="row" { a href=(form_path(arm_path, &[("id", arm.arm.as_str())])) { (arm.arm) } @if !arm.available { " (off)" } }
                            td { (count(arm.shown)) }
                            td { (percent(arm.share)) }
                            td.text { (everybody_text(&arm.if_everybody, amounts)) }
                            td.text { (where_shown(arm, amounts)) }
                            td { (percent(arm.chance_best)) }
                            td { (count(arm.rewarded)) }
                            td { (arm.expected_loss.map_or_else(String::new, |loss| amounts.amount(loss))) }
                        }
                    }
                }
            }
        }
    }
}

/// Page "Arms".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<ArmsQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let (now_us, quick) = (console.now_us()?, console.reports.is_quick(&view));
    let content = content(Arc::clone(&console), visitor.clone(), view, now_us, query.from);
    let title = format!("{slot}: arms");
    let page = ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "arms")
        .same_by(format!("slotwise report {slot}"))
        .same_by("POST /v1/GetSlotReport");
    Ok(page.show_made(&console, quick, content).await)
}
