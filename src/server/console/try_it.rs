//! Page "Try it" of a slot: what a shopper with a given context would get now. Nothing is recorded.

use axum::extract::{Path, Query, State};
use maud::html;
use serde::Deserialize;

use super::{
    SharedConsole, attributes,
    decision::explanation,
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::SlotView,
    wire::proto::{DecideRequest, TryDecideRequest, insight_service_server::InsightService as _},
};

/// Context that is tried.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TryQuery {
    /// Lines of `name = value`.
    context: Option<String>,
}

/// Context with the features that came lately, to begin with.
fn example(view: &SlotView) -> String {
    let of = |feature: &crate::engine::SegmentFeature| {
        let value = feature.all_values().find_map(|value| value.label.clone())?;
        Some(format!("{} = {value}", feature.name))
    };
    view.evaluation.segments.features().iter().filter_map(of).collect::<Vec<_>>().join("\n")
}

/// Page "Try it".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<TryQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let text = query.context.clone().unwrap_or_else(|| example(&view));
    let (mut answer, mut wrong) = (None, None);
    if query.context.is_some() {
        match attributes::parse(&text) {
            Err(why) => wrong = Some(why),
            Ok(context) => {
                let request = DecideRequest { slot_id: slot.clone(), context, ..DecideRequest::default() };
                match console.api.try_decide(visitor.call(TryDecideRequest { request: Some(request) })).await {
                    Ok(response) => answer = response.into_inner().decision,
                    Err(status) => wrong = Some(status.message().to_owned()),
                }
            }
        }
    }
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        div.columns.sided {
            form.card method="get" action=(slot_path(&slot, "try")) {
                label for="context" { "Context of a shopper, a feature on each line" }
                textarea #context name="context" rows="8" placeholder="device = phone" { (text) }
                button type="submit" { "Try it" }
                p.hint { "Nothing is recorded and nothing is learned. Caps and stickiness are not looked at." }
            }
            @if let Some(answer) = &answer { div { (explanation(answer)) } }
        }
    };
    let title = format!("{slot}: try it");
    Ok(ConsolePage::new(&title).visitor(&visitor).slot(&slot, "try").same_by("POST /v1/TryDecide").show(&content))
}
