//! Texts and parts of forms that several pages share.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};
use prost_types::Timestamp;
use serde::Serialize;

use super::visitor::Visitor;
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, IfEverybody, Lift, SlotStage},
    wire::{proto::Actor, time_text},
};

/// Path with the fields of a form as its query.
pub(super) fn form_path(path: &str, form: &(impl Serialize + ?Sized)) -> String {
    match serde_urlencoded::to_string(form) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

/// Field for a number, with its label and a hint below it.
pub(super) fn number_field(id: &str, label: &str, hint: &str, value: &str) -> Markup {
    let hint_id = format!("{id}-hint");
    html! {
        div.pair {
            label for=(id) { (label) }
            input id=(id) type="text" inputmode="decimal" name=(id) value=(value) autocomplete="off" aria-describedby=(hint_id);
            p.hint id=(hint_id) { (hint) }
        }
    }
}

/// Field for a number that has a slider beside it, where there is a script. `range` has the least and the greatest value, the step, and
/// the value that an empty field stands for.
pub(super) fn slider_field(id: &str, label: &str, hint: &str, value: &str, range: [f64; 4]) -> Markup {
    let hint_id = format!("{id}-hint");
    let range = range.map(|number| number.to_string()).join(" ");
    html! {
        div.pair {
            label for=(id) { (label) }
            input id=(id) type="text" inputmode="decimal" name=(id) value=(value) autocomplete="off" aria-describedby=(hint_id) data-slider=(range);
            p.hint id=(hint_id) { (hint) }
        }
    }
}

/// Name of who did something: as the service knows the caller, and as the caller calls itself.
pub(super) fn signature(actor: Option<&Actor>, author: &str) -> String {
    let principal = actor.map(|actor| actor.principal.as_str()).unwrap_or_default();
    match (principal, author) {
        ("", "") => "somebody".to_owned(),
        ("", author) => author.to_owned(),
        (principal, "") => principal.to_owned(),
        (principal, author) if principal == author => principal.to_owned(),
        (principal, author) => format!("{principal}, as {author}"),
    }
}

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

/// Time of a message, to the second, in UTC.
pub(super) fn time_of(time: Option<Timestamp>) -> String {
    self::time(time.map_or(0, |time| time.seconds * 1_000_000))
}

/// Number of bytes as people read it.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(size, _)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(size, name)| format!("{:.1} {name}", count as f64 / size as f64))
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * part)
}

/// Text in which no line ends between a number and its sign of per cent.
pub(super) fn unbroken(text: &str) -> String {
    text.replace(" %", "\u{a0}%")
}

/// Bar of a part of a whole, with the number beside it.
pub(super) fn share(part: f64) -> Markup {
    html! { span.share { (bar(part)) span.num { (percent(part)) } } }
}

/// Meaning of a figure in a sentence, and the section of the help that has more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// Page of the help and its section, such as `reading-the-report#alerts`.
    pub(super) help: &'static str,
}

/// Creates the meaning of a figure.
pub(super) const fn meaning(name: &'static str, text: &'static str, help: &'static str) -> Meaning {
    Meaning { name, text, help }
}

/// Meanings of figures, a line each, folded away.
pub(super) fn meanings(of: &[Meaning]) -> Markup {
    html! {
        details.meanings {
            summary { "What the figures mean" }
            dl { @for Meaning { name, text, help } in of {
                div { dt { (name) } dd { (text) " " a href=(format!("/help/{help}")) aria-label=(format!("More about {name}")) { "More" } } }
            } }
        }
    }
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
    unbroken(&format!("{}{relative} difference to the holdout: {interval}", amounts.amount(lift.difference)))
}

/// Figure "if everybody got it" of an arm, in words.
pub(super) fn everybody_text(figure: &IfEverybody, amounts: &AmountFormat) -> String {
    match figure {
        IfEverybody::Known { mean, low, high, .. } => {
            unbroken(&format!("{} ({} to {})", amounts.amount(*mean), amounts.amount(*low), amounts.amount(*high)))
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
        input id=(id) type="text" name="reason" required maxlength="1000" placeholder="for the history";
    }
}

/// Returns `true` if forms that change slots are shown.
pub(super) fn may_tune(visitor: &Visitor) -> bool {
    visitor.may(Role::Tune)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_the_largest_unit_that_fits() {
        let all = [0, 1_023, 1_536, 3 << 20, 5 << 30];
        assert_eq!(all.map(bytes), ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 MiB", "5.0 GiB"]);
    }

    #[test]
    fn a_form_stands_in_the_address_with_its_characters_escaped() {
        assert_eq!(form_path("/slots/a/arm", &[("id", "ä & b")]), "/slots/a/arm?id=%C3%A4+%26+b");
        assert_eq!(form_path("/slots/a/rule", &Vec::<(&str, &str)>::new()), "/slots/a/rule");
    }
}
