//! Page "For whom" of a slot: what shoppers with each value of a feature get, and what it earns.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::{counted, lift_text, meanings, percent, share, unbroken},
    layout::ConsolePage,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, FeatureSegments, report, segments},
    node::run_long,
};

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

/// Page "For whom".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let now_us = console.now_us()?;
    let (found, report) = run_long(view.arms.names().len(), || (segments(&view), report(&view.at(now_us))));
    let amounts = AmountFormat::of_report(&report);
    let content = html! {
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
        div #segments data-live { @for of in &found { (table(of, &amounts)) } }
        @if !found.is_empty() {
            p.hint { "Intervals hold for all values of all features at once, with 95 %." }
            (meanings(&[
                ("share", "Part of the decisions for such shoppers that showed the arm first."),
                ("if everybody with it got it", "Reward per decision if every such shopper got the arm. Withheld where the decisions cannot tell."),
                ("chance best", "Probability that the arm is the best for such shoppers."),
            ]))
        }
    };
    let title = format!("{slot}: for whom");
    let same = format!("slotwise segments {slot}");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "segments")
        .same_by(same)
        .same_by("POST /v1/GetSegments")
        .show(&content))
}
