//! Page "For whom" of a slot: what shoppers with each value of a feature get, and what it earns.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::{Meaning, counted, lift_text, meaning, meanings, percent, share, unbroken},
    layout::ConsolePage,
    live::live_part,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, FeatureSegments, SlotView, segments},
    node::run_long,
};

/// Meanings of the page's figures.
pub(super) const MEANINGS: [Meaning; 3] = [
    meaning(
        "share",
        "Part of the decisions for such shoppers that showed the arm first.",
        "reading-the-report#who-gets-what",
    ),
    meaning(
        "if everybody with it got it",
        "Reward per decision if every such shopper got the arm. Withheld where the decisions cannot tell.",
        "reading-the-report#if-everybody-got-it",
    ),
    meaning("chance best", "Probability that the arm is the best for such shoppers.", "reading-the-report#chance-best"),
];

fn table(of: &FeatureSegments, amounts: &AmountFormat) -> Markup {
    html! {
        h2 { (of.feature) }
        div.scroll.wide tabindex="0" {
            table {
                caption { "Arms by " (of.feature) }
                thead { tr {
                    th scope="col" { (of.feature) } th.text scope="col" { "arm" } th scope="col" { "share" }
                    th.text scope="col" { "if everybody with it got it" } th scope="col" { "chance best" }
                } }
                tbody {
                    @for value in &of.values {
                        @for (i, arm) in value.arms.iter().enumerate() {
                            tr {
                                th.text scope="row" { @if i == 0 { (value.value.as_deref().unwrap_or("(others)")) } }
                                td.text { (arm.arm) }
                                td { (share(arm.share)) }
                                td.text {
                                    @match arm.if_everybody {
                                        Some((mean, low, high)) => { (unbroken(&format!("{} ({} to {})", amounts.amount(mean), amounts.amount(low), amounts.amount(high)))) }
                                        None => { "not enough overlap to tell" }
                                    }
                                }
                                td { @if arm.if_everybody.is_some() || arm.chance_best > 0.0 { (percent(arm.chance_best)) } }
                            }
                        }
                    }
                }
            }
        }
        @for value in &of.values {
            @if let Some(lift) = &value.lift {
                p.problem[value.worse_than_holdout] {
                    (value.value.as_deref().unwrap_or("(others)")) ", " (counted(value.decisions, "decision")) ": " (lift_text(lift, amounts))
                    @if value.worse_than_holdout { ". Worse than the holdout." }
                }
            }
        }
    }
}

/// Content of the page.
async fn content(console: SharedConsole, view: Arc<SlotView>, now_us: i64) -> Markup {
    let report = console.reports.report(&view, now_us).await;
    let found = run_long(view.arms.names().len(), || segments(&view));
    let amounts = AmountFormat::of_report(&report);
    html! {
        @if found.is_empty() {
            p { "No feature that is a word or a flag has come yet. A program sends them as " code { "context" } " of its request, such as the device or the segment of the shopper." }
        }
        @if let Some(wants) = &report.who_wants_what {
            p.sentence {
                @for (i, (value, arm)) in wants.wants.iter().enumerate() {
                    @if i > 0 { ", " } "‘" (arm) "’ for " (wants.feature) " = " (value)
                }
                (unbroken(&format!("; together {}, best single arm {}.", amounts.amount(wants.together), amounts.amount(wants.single_mean))))
            }
        }
        (live_part("segments", &html! { @for of in &found { (table(of, &amounts)) } }))
        @if !found.is_empty() {
            p.hint { "Intervals hold for all values of all features at once, with 95 %." }
            (meanings(&MEANINGS))
        }
    }
}

/// Page "For whom".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let (now_us, quick) = (console.now_us()?, console.reports.is_quick(&view));
    let content = content(Arc::clone(&console), view, now_us);
    let title = format!("{slot}: for whom");
    let page = ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "segments")
        .same_by(format!("slotwise segments {slot}"))
        .same_by("POST /v1/GetSegments");
    Ok(page.show_made(&console, quick, content).await)
}
