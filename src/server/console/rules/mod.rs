//! Page "Rules" of a slot: what each rule says.

use axum::extract::{Path, State};
use maud::html;

use super::{
    SharedConsole,
    layout::ConsolePage,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    slot::{Effect, OnError, Rule},
};

/// Effect of a rule, in words.
fn effect(rule: &Rule) -> String {
    match &rule.effect {
        Effect::Exclude => "is not shown".to_owned(),
        Effect::Evidence { confidence, .. } => {
            format!("is shown only if it pays, with a confidence of {:.0} %", 100.0 * confidence)
        }
        Effect::Pin { position } => format!("stands at position {position}"),
        Effect::Boost { factor } => format!("counts as if it earned {factor} times as much"),
        Effect::ProbabilityBounds { floor, ceiling } => {
            let bound = |name: &str, of: &Option<f64>| of.map(|part| format!("{name} {:.1} %", 100.0 * part));
            let both: Vec<String> =
                [bound("at least", floor), bound("at most", ceiling)].into_iter().flatten().collect();
            format!("gets {} of the decisions", both.join(" and "))
        }
        Effect::SubjectCap { count, .. } => format!("is shown to one shopper at most {count} times"),
        Effect::DayCap { count, .. } => format!("is shown at most {count} times a day"),
        Effect::Quota { attribute, top, .. } => format!("mixes the values of {attribute} among the first {top}"),
        Effect::MaxMoves { positions } => format!("moves at most {positions} positions"),
    }
}

/// Page "Rules".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let rules = &view.definition.rules;
    let content = html! {
        @if rules.is_empty() {
            p { "The slot has no rule. Rules keep arms away from shoppers, cap how often they are shown, or pin them to a position. The slot's file has them; the page on rules in the documentation has examples." }
        } @else {
            div.scroll.wide tabindex="0" {
                table {
                    caption { "Rules in the order of their effect" }
                    thead { tr { th scope="col" { "rule" } th scope="col" { "an arm for which this holds" } th scope="col" { "effect" } th scope="col" { "if the condition fails" } } }
                    tbody { @for rule in rules {
                        tr {
                            th.text scope="row" { (rule.name) @if rule.paused { " (paused)" } }
                            td.text { code { (rule.when) } }
                            td.text { (effect(rule)) }
                            td.text { (match rule.on_error { OnError::Ignore => "the rule does not apply", OnError::Exclude => "the arm is not shown" }) }
                        }
                    } }
                }
            }
            p.hint { "The preview of a change says in how many past decisions each rule had an effect." }
        }
    };
    let title = format!("{slot}: rules");
    let same = format!("slotwise slots get {slot}");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "rules")
        .same_by(same)
        .same_by("POST /v1/GetSlot")
        .show(&content))
}
