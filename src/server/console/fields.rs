//! Texts and parts of forms that several pages share.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};

use super::visitor::Visitor;
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, IfEverybody, Lift, SlotStage},
    wire::time_text,
};

/// Sends the browser on to a path of this host.
pub(super) fn redirect(path: &str) -> Response {
    let path = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

/// Time to the second, in UTC.
pub(super) fn time(us: i64) -> String {
    let text = time_text(us);
    let text = text.get(..19).unwrap_or(&text).replace('T', " ");
    format!("{text} UTC")
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Badge of a status: a word with a sign, so that its colour is not needed.
pub(super) fn badge(stage: SlotStage) -> Markup {
    let class = match stage {
        SlotStage::NeedsAttention => "fail",
        SlotStage::Confident | SlotStage::Settled | SlotStage::WhoWantsWhat | SlotStage::NoDifference => "pass",
        SlotStage::Leading | SlotStage::Learning => "unsure",
        SlotStage::WarmingUp | SlotStage::Shadow => "skipped",
    };
    html! { span class=(class) { span.badge { (stage.word()) } } }
}

/// Difference to the holdout with its interval, in words.
pub(super) fn lift_text(lift: &Lift, amounts: &AmountFormat) -> String {
    let relative = lift.relative.map_or(String::new(), |part| format!(" ({:+.1} %)", 100.0 * part));
    let interval = lift.interval.map_or("too few rewards for an interval".to_owned(), |(low, high)| {
        format!("between {} and {}, 95 % sure at any time", amounts.amount(low), amounts.amount(high))
    });
    format!("{}{relative} difference to the holdout: {interval}", amounts.amount(lift.difference))
}

/// Figure "if everybody got it" of an arm, in words.
pub(super) fn everybody_text(figure: &IfEverybody, amounts: &AmountFormat) -> String {
    match figure {
        IfEverybody::Known { mean, low, high, .. } => {
            format!("{} ({} to {})", amounts.amount(*mean), amounts.amount(*low), amounts.amount(*high))
        }
        IfEverybody::Withheld(withheld) => withheld.because.reason().to_owned(),
    }
}

/// Bar of a part of a whole. The number stands beside it.
pub(super) fn bar(part: f64) -> Markup {
    let width = format!("{:.1}", 100.0 * part.clamp(0.0, 1.0));
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.all x="0" y="0" width="100" height="10" {}
            rect.part x="0" y="0" width=(width) height="10" {}
        }
    }
}

/// Field for the reason of a change.
pub(super) fn reason(id: &str) -> Markup {
    html! {
        label for=(id) { "Why" }
        input id=(id) type="text" name="reason" required maxlength="1000" placeholder="for whoever reads the history";
    }
}

/// Returns `true` if forms that change slots are shown.
pub(super) fn may_tune(visitor: &Visitor) -> bool {
    visitor.may(Role::Tune)
}
