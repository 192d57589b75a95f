//! Last decisions of a slot, as the page "Now" lists them.

use maud::{Markup, html};

use super::{
    fields::{form_path, percent, time_of},
    visitor::Visitor,
};
use crate::{
    access::Role,
    wire::proto::{ChosenArm, DecideResponse, Reason, RecentDecision},
};

/// Number of decisions that the page lists.
pub(super) const DECISIONS: u32 = 20;
/// Number of shown arms that are named.
const NAMED: usize = 3;

/// Reason why an arm was shown, in words.
fn why(decision: &DecideResponse) -> &'static str {
    match decision.arms.first().map(ChosenArm::reason) {
        None => "no arm could be shown",
        Some(Reason::BestGuess) => "best guess",
        Some(Reason::Exploring) => "to learn",
        Some(Reason::Floor) => "to learn, by the floor",
        Some(Reason::Rule) => "by a rule",
        Some(Reason::Holdout) => "holdout",
        Some(Reason::Sticky) => "as before",
        Some(Reason::Shadow) => "baseline, in shadow mode",
        Some(Reason::Fallback) => "the caller's order",
        Some(Reason::Unspecified) => "",
    }
}

/// Names of the shown arms, best position first.
fn shown(decision: &DecideResponse) -> String {
    let names: Vec<&str> = decision.arms.iter().take(NAMED).map(|arm| arm.arm_id.as_str()).collect();
    let more = decision.arms.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

fn shopper(recent: &RecentDecision) -> String {
    let subject = recent.subject.clone().unwrap_or_default();
    match (subject.id.is_empty(), subject.session_id.is_empty()) {
        (false, _) => subject.id,
        (true, false) => format!("session {}", subject.session_id),
        (true, true) => "anonymous".to_owned(),
    }
}

/// List of decisions.
pub(super) fn last_decisions(found: &[RecentDecision], visitor: &Visitor) -> Markup {
    let sees_shoppers = visitor.may(Role::Tune);
    html! {
        @if found.is_empty() { p.hint { "None yet." } }
        @else {
            div.scroll.wide tabindex="0" { table {
                caption { "Last decisions" }
                thead { tr {
                    th scope="col" { "time" } th.text scope="col" { "shown" } th scope="col" { "probability" } th.text scope="col" { "why" }
                    @if sees_shoppers { th.text scope="col" { "shopper" } }
                } }
                tbody { @for recent in found {
                    @let decision = recent.decision.clone().unwrap_or_default();
                    tr {
                        th.time scope="row" { a href=(form_path("/decisions", &[("id", &decision.decision_id)])) { (time_of(recent.time)) } }
                        td.text { (shown(&decision)) }
                        td { @if let Some(first) = decision.arms.first() { (percent(first.propensity)) } }
                        td.text { (why(&decision)) }
                        @if sees_shoppers { td.text { (shopper(recent)) } }
                    }
                } }
            } }
            p.hint { "The newest first. The probability is the one with which the first arm was drawn; the time leads to the explanation." }
        }
    }
}
