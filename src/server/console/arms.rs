//! Page "Arms" of a slot: what each arm earns, where it was shown and if everybody got it.

use axum::extract::{Path, Query, State};
use maud::html;
use serde::Deserialize;

use super::{
    SharedConsole,
    draw::{RowFigure, rows, unit},
    fields::{everybody_text, percent},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, ArmReport, IfEverybody, report},
    node::run_long,
};

/// Number of arms of a page.
const ARMS: usize = 200;
/// Number of arms that are drawn.
const DRAWN: usize = 30;

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
            format!("{} ({} to {})", amounts.amount(arm.mean), amounts.amount(low), amounts.amount(high))
        }
        None => format!("{} (too few rewards for an interval)", amounts.amount(arm.mean)),
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
    let now_us = console.now_us()?;
    let report = run_long(view.arms.names().len(), || report(&view.at(now_us)));
    let amounts = AmountFormat::of_report(&report);
    let shown: Vec<&ArmReport> = report.arms.iter().skip(query.from).take(ARMS).collect();
    let drawn: Vec<RowFigure> = shown.iter().take(DRAWN).map(|arm| row(arm, &amounts)).collect();
    let next = query.from.saturating_add(ARMS);
    let content = html! {
        p.sentence { (report.status.sentence) }
        @if drawn.is_empty() { p { "The slot has no arm yet." } }
        @else {
            div.figures {
                (rows("if-everybody", "If everybody got it", "What each arm would earn per showing if every shopper got it, with an interval of 95 %. A figure that the decisions so far cannot tell is not shown.", unit(&amounts), &drawn))
            }
        }
        h2 { "Figures" }
        div.scroll.wide tabindex="0" #figures data-live {
            table {
                caption { "Arms" }
                thead { tr {
                    th scope="col" { "arm" } th scope="col" { "shown" } th scope="col" { "share" }
                    th.text scope="col" { "if everybody got it" } th.text scope="col" { "where it was shown" }
                    th scope="col" { "chance best" } th scope="col" { "rewarded" } th scope="col" { "expected loss" }
                } }
                tbody {
                    @for arm in &shown {
                        tr {
                            th.text scope="row" { (arm.arm) @if !arm.available { " (off)" } }
                            td { (count(arm.shown)) }
                            td { (percent(arm.share)) }
                            td.text { (everybody_text(&arm.if_everybody, &amounts)) }
                            td.text { (where_shown(arm, &amounts)) }
                            td { (percent(arm.chance_best)) }
                            td { (count(arm.rewarded)) }
                            td { (arm.expected_loss.map_or_else(String::new, |loss| amounts.amount(loss))) }
                        }
                    }
                }
            }
        }
        @if next < report.arms.len() { p { a href=(format!("{}?from={next}", slot_path(&slot, "arms"))) { "More arms" } } }
    };
    let same = format!("slotwise report {slot}");
    let title = format!("{slot}: arms");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "arms")
        .same_by(same)
        .same_by("POST /v1/GetSlotReport")
        .show(&content))
}
