//! Page "Decision": why a decision showed its arms.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    fields::{share, time_of},
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    wire::proto::{
        DecideResponse, ExplainDecisionRequest, FeatureValue, feature_value::Value,
        insight_service_server::InsightService as _,
    },
};

/// Decision that the page explains.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DecisionQuery {
    id: String,
}

/// Value of a feature as text.
fn value_text(value: &FeatureValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Flag(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(Value::Texts(texts)) => texts.values.join(", "),
        Some(Value::Vector(vector)) => format!("{} numbers", vector.values.len()),
    }
}

/// Features of a request or an arm, by name.
pub(super) fn context_list(features: &HashMap<String, FeatureValue>) -> Markup {
    let sorted: BTreeMap<&String, &FeatureValue> = features.iter().collect();
    html! { dl.facts { @for (name, value) in sorted { div { dt { (name) } dd { (value_text(value)) } } } } }
}

/// Sentence, arms with their probabilities, and the arms that could not be shown.
pub(super) fn explanation(decision: &DecideResponse) -> Markup {
    let explained = decision.explanation.clone().unwrap_or_default();
    html! {
        p.sentence { (explained.summary) }
        @if decision.holdout { p { "The shopper is in the holdout and got the baseline." } }
        h2 { "Shown" }
        div.scroll.wide tabindex="0" { table {
            caption { "Arms that were shown" }
            thead { tr { th scope="col" { "arm" } th scope="col" { "position" } th scope="col" { "probability" } } }
            tbody { @for arm in &decision.arms { tr {
                th.text scope="row" { (arm.arm_id) } td { (arm.position) } td { (share(arm.propensity)) }
            } } }
        } }
        @if !explained.candidates.is_empty() {
            h2 { "All arms at the first position" }
            div.scroll.wide tabindex="0" { table {
                caption { "Arms that could be shown, and why others could not" }
                thead { tr { th scope="col" { "arm" } th scope="col" { "probability" } th scope="col" { "expected reward" } th scope="col" { "spread" } th.text scope="col" { "what moved it" } } }
                tbody { @for candidate in &explained.candidates { tr {
                    th.text scope="row" { (candidate.arm_id) }
                    td { @if candidate.eligible { (share(candidate.propensity)) } @else { "not possible" } }
                    td { @if candidate.eligible { (format!("{:.4}", candidate.mean)) } }
                    td { @if candidate.eligible { (format!("{:.4}", candidate.std)) } }
                    td.text.long {
                        @if !candidate.eligible { (candidate.ineligible_because) }
                        @for (i, effect) in candidate.moved_by.iter().take(5).enumerate() {
                            @if i > 0 { ", " } (effect.feature) " " (format!("{:+.4}", effect.effect))
                        }
                    }
                } } }
            } }
        }
        @if !explained.matched_rules.is_empty() { p { "Rules that had an effect: " (explained.matched_rules.join(", ")) "." } }
    }
}

/// Page "Decision".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Query(query): Query<DecisionQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let id = query.id.trim();
    let found = if id.is_empty() {
        None
    } else {
        let request = ExplainDecisionRequest { decision_id: id.to_owned(), slot_id: String::new() };
        Some(console.api.explain_decision(visitor.call(request)).await?.into_inner())
    };
    let content = html! {
        form.inline method="get" action="/decisions" {
            label for="id" { "Id of the decision" }
            input #id type="text" name="id" value=(id) required;
            button.quiet type="submit" { "Explain" }
        }
        @match &found {
            None => { p { "Every answer to a request has the id of its decision. With it, this page says with which probability each arm was drawn, and why." } }
            Some(found) => {
                p { "Slot " a href=(slot_path(&found.slot_id, "")) { (found.slot_id) } ", " (time_of(found.time)) "." }
                @if let Some(decision) = &found.decision { (explanation(decision)) }
                @if !found.context.is_empty() {
                    h2 { "Context" }
                    (context_list(&found.context))
                }
                @if found.effects_as_of_now { p.hint { "What moved the arms is computed with what the slot knows now." } }
            }
        }
    };
    let page = ConsolePage::new("Decision").visitor(&visitor);
    Ok(page.same_by(format!("slotwise explain {id}")).same_by("POST /v1/ExplainDecision").show(&content))
}
