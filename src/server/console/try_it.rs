//! Page "Try it" of a slot: what a shopper with a given context would get now. Nothing is recorded.

use axum::extract::{Path, Query, State};
use maud::html;
use serde::Deserialize;

use super::{
    SharedConsole,
    decision::explanation,
    layout::{ConsolePage, slot_path},
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::SlotView,
    wire::proto::{
        DecideRequest, FeatureValue, TryDecideRequest, feature_value::Value,
        insight_service_server::InsightService as _,
    },
};

/// Context that is tried.
#[derive(Debug, Default, Deserialize)]
pub(super) struct TryQuery {
    /// Lines of `name = value`.
    context: Option<String>,
}

/// Reads a line of a context: a number, a flag, or else a word.
fn feature(line: &str) -> Option<(String, FeatureValue)> {
    let (name, text) = line.split_once('=')?;
    let (name, text) = (name.trim(), text.trim());
    let value = match text {
        "yes" | "true" => Value::Flag(true),
        "no" | "false" => Value::Flag(false),
        _ => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Number(number),
            _ => Value::Text(text.trim_matches('"').to_owned()),
        },
    };
    (!name.is_empty()).then(|| (name.to_owned(), FeatureValue { value: Some(value) }))
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
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let bad = lines.clone().find(|line| feature(line).is_none());
        if let Some(bad) = bad {
            wrong = Some(format!("'{bad}' has no name and value; write it as device = phone"));
        } else {
            let context = lines.filter_map(feature).collect();
            let request = DecideRequest { slot_id: slot.clone(), context, ..DecideRequest::default() };
            match console.api.try_decide(visitor.call(TryDecideRequest { request: Some(request) })).await {
                Ok(response) => answer = response.into_inner().decision,
                Err(status) => wrong = Some(status.message().to_owned()),
            }
        }
    }
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        div.columns {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_number_a_flag_or_a_word() {
        let of = |line: &str| feature(line).map(|(name, value)| (name, value.value.unwrap()));
        assert_eq!(of("device = phone"), Some(("device".into(), Value::Text("phone".into()))));
        assert_eq!(of("basket=42.5"), Some(("basket".into(), Value::Number(42.5))));
        assert_eq!(of("member = yes"), Some(("member".into(), Value::Flag(true))));
        assert_eq!(of("code = \"7\""), Some(("code".into(), Value::Text("7".into()))));
        assert_eq!(of("far = inf"), Some(("far".into(), Value::Text("inf".into()))));
        assert_eq!((of("device"), of("= x")), (None, None));
    }
}
