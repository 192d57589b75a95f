//! Result of a comparison of policies: in a sentence, as a drawing, and as a table.

use maud::{Markup, html};

use super::{
    compare::{ComparisonChoice, DRAFT},
    draft::{ControlsDraft, present},
    draw::{RowChart, RowFigure, rows, unit},
    fields::{counted, form_path, may_tune, percent, unbroken},
    layout::slot_path,
    visitor::Visitor,
};
use crate::{
    chart::number::count,
    engine::{AmountFormat, SlotView},
    wire::proto::{ComparisonResult, PolicyResult},
};

/// Name that the API gives the policy that decided.
const PRESENT: &str = "present";

/// Name of a policy for people.
fn name(of: &PolicyResult) -> String {
    match of.name.as_str() {
        PRESENT => "As it was decided".to_owned(),
        DRAFT => "Draft".to_owned(),
        "greedy" => "Best guess only".to_owned(),
        "uniform" => "Every arm equally often".to_owned(),
        other => other.strip_prefix("always ").map_or_else(|| other.to_owned(), |arm| format!("Always ‘{arm}’")),
    }
}

fn interval(low: Option<f64>, high: Option<f64>, amounts: &AmountFormat) -> String {
    match (low, high) {
        (Some(low), Some(high)) => unbroken(&format!(" ({} to {})", amounts.amount(low), amounts.amount(high))),
        _ => String::new(),
    }
}

/// Amount with its sign.
fn signed(value: f64, amounts: &AmountFormat) -> String {
    let amount = unbroken(&amounts.amount(value));
    if value > 0.0 { format!("+{amount}") } else { amount }
}

/// Sentence about what the result says.
fn verdict(result: &ComparisonResult, amounts: &AmountFormat) -> String {
    let others = || result.policies.iter().filter(|of| of.name != PRESENT);
    let known = |of: &&PolicyResult| of.mean.is_some();
    if result.decisions == 0 {
        return "None of the decisions of this period can be used yet.".to_owned();
    }
    let better = others().filter(known).filter(|of| of.difference_low.is_some_and(|low| low > 0.0));
    let best = better.max_by(|a, b| a.difference.unwrap_or(0.0).total_cmp(&b.difference.unwrap_or(0.0)));
    if let Some(best) = best {
        let more = signed(best.difference.unwrap_or(0.0), amounts);
        let range = interval(best.difference_low, best.difference_high, amounts);
        return format!("{} would have earned more: {more}{range} per decision.", name(best));
    }
    if !others().any(|of| of.mean.is_some()) {
        return "These decisions cannot tell what the other policies would have earned.".to_owned();
    }
    if others().filter(known).all(|of| of.difference_high.is_some_and(|high| high < 0.0)) {
        return "Every policy that these decisions can tell about would have earned less.".to_owned();
    }
    "No other policy is known to have earned more.".to_owned()
}

/// Reason why a value is withheld, and the floor that would have been enough.
fn withheld(of: &PolicyResult) -> String {
    let floor = of.floor_needed.map_or_else(
        || "No floor up to 10 % would have been enough.".to_owned(),
        |floor| format!("A floor of {} for every arm would have been enough.", percent(floor)),
    );
    format!("cannot tell: these decisions hardly ever showed what it would show. {floor}")
}

/// Draft that makes the slot do the same, where controls can.
fn draft_of(of: &PolicyResult, view: &SlotView, choice: &ComparisonChoice) -> Option<ControlsDraft> {
    let now = present(view);
    match of.name.as_str() {
        DRAFT => Some(choice.controls_draft(view)),
        "greedy" => Some(ControlsDraft { exploration: "0".into(), floor: "0".into(), ..now }),
        _ if of.mean.is_none() => of.floor_needed.map(|floor| {
            let percent = (floor * 1e6).round() / 1e4;
            ControlsDraft { floor: percent.to_string(), ..now }
        }),
        _ => None,
    }
}

fn next_step(of: &PolicyResult, view: &SlotView, choice: &ComparisonChoice) -> Markup {
    let slot = view.definition.id.as_str();
    let draft = draft_of(of, view, choice).map(|draft| form_path(&slot_path(slot, "change"), &draft.previewed()));
    let arm = of.name.strip_prefix("always ").filter(|_| of.mean.is_some());
    html! {
        @if let Some(path) = draft {
            a href=(path) { (if of.mean.is_none() { "Try that floor" } else { "Make it a draft" }) }
        } @else if let Some(arm) = arm {
            @let when = format!("arm.id == {}", serde_json::Value::from(arm));
            a href=(form_path(&slot_path(slot, "rule"), &[("effect", "pin"), ("position", "1"), ("when", &when)])) { "Make it a rule" }
        }
    }
}

/// Result of a comparison.
pub(super) fn finished(
    result: &ComparisonResult,
    amounts: &AmountFormat,
    visitor: &Visitor,
    view: &SlotView,
    choice: &ComparisonChoice,
) -> Markup {
    let row = |of: &PolicyResult| RowFigure {
        name: name(of),
        figure: of.mean.zip(of.low).zip(of.high).map(|((mean, low), high)| (mean, low, high)),
        words: of.mean.map_or_else(
            || "cannot tell".to_owned(),
            |mean| format!("{}{}", amounts.amount(mean), interval(of.low, of.high, amounts)),
        ),
    };
    let drawn: Vec<RowFigure> = result.policies.iter().map(row).collect();
    let chart = RowChart {
        id: "policies",
        title: "Reward per decision",
        note: "A mark for what each policy would have earned per decision on the same shoppers, and a line for its interval of 95 %.",
        unit: unit(amounts),
        axis: "per decision",
        noun: "policy",
    };
    let may_draft = may_tune(visitor);
    html! {
        section.card {
            h2 { "What would have been earned" }
            p.sentence aria-live="polite" { (verdict(result, amounts)) }
            p.hint {
                "On " (counted(result.decisions, "decision")) ". " (counted(result.left_out, "decision")) " left out: those of the holdout, repeated ones, those that a rule or the safe choice made, and those whose rewards are not known yet."
            }
        }
        @if result.decisions > 0 {
            div.figures.single {
                (rows(chart, &drawn))
            }
            div.scroll.wide tabindex="0" { table {
                caption { "Policies" }
                thead { tr {
                    th scope="col" { "policy" } th.text scope="col" { "reward per decision" } th.text scope="col" { "against what was decided" } th scope="col" { "rests on" }
                    @if may_draft { th.text scope="col" { "next" } }
                } }
                tbody { @for of in &result.policies { tr {
                    th.text scope="row" { (name(of)) }
                    @match of.mean {
                        Some(mean) => {
                            td.text { (unbroken(&amounts.amount(mean))) (interval(of.low, of.high, amounts)) }
                            td.text { @if of.name != PRESENT { (signed(of.difference.unwrap_or(0.0), amounts)) (interval(of.difference_low, of.difference_high, amounts)) } }
                        }
                        None => { td.text colspan="2" { (withheld(of)) } }
                    }
                    td { (format!("{} decisions", count(rounded(of.effective_decisions)))) }
                    @if may_draft { td.text { (next_step(of, view, choice)) } }
                } } }
            } }
            p.hint { "“Rests on” is the number of decisions by the policy itself that would say as much; below 100 nothing is said. A difference whose interval holds 0 may be chance. Of rankings, only the first position is compared." }
        }
    }
}

fn rounded(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of decisions")]
    let whole = number.round().max(0.0) as u64;
    whole
}

/// Progress of a comparison, with the way to stop it.
pub(super) fn reading(slot: &str, run: &str, done: u64, total: u64, path: &str) -> Markup {
    html! {
        section.card {
            h2 { "Comparing" }
            p role="status" {
                @if total == 0 { "Reading the journal." }
                @else { "Reading the journal: " (count(done)) " of " (count(total)) " records." }
            }
            @if total == 0 { progress aria-label="Progress" {} }
            @else { progress aria-label="Progress" value=(done) max=(total) {} }
            p.hint { "You may leave this page; the comparison goes on. " a href=(path) { "Look again" } }
            form.inline method="post" action=(slot_path(slot, "compare/stop")) {
                input type="hidden" name="run" value=(run);
                input type="hidden" name="back" value=(path);
                button.quiet type="submit" { "Stop" }
            }
        }
    }
}

/// Message in the place of a result.
pub(super) fn failed(why: &str) -> Markup {
    html! { section.card { h2 { "No result" } p.problem role="alert" { (why) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, difference: Option<(f64, f64, f64)>) -> PolicyResult {
        PolicyResult {
            name: name.into(),
            mean: difference.map(|_| 0.1),
            difference: difference.map(|(difference, _, _)| difference),
            difference_low: difference.map(|(_, low, _)| low),
            difference_high: difference.map(|(_, _, high)| high),
            ..PolicyResult::default()
        }
    }

    #[test]
    fn the_verdict_says_what_the_intervals_allow() {
        let amounts = AmountFormat { percent: true, currency: None };
        let says = |others: &[PolicyResult]| {
            let policies = [policy(PRESENT, Some((0.0, 0.0, 0.0)))].into_iter().chain(others.iter().cloned()).collect();
            verdict(&ComparisonResult { decisions: 900, left_out: 0, policies }, &amounts)
        };
        let better = policy("always x", Some((0.02, 0.01, 0.03)));
        let unsure = policy("uniform", Some((0.01, -0.01, 0.03)));
        let worse = policy("greedy", Some((-0.02, -0.03, -0.01)));
        let unknown = policy("always y", None);
        assert_eq!(
            says(&[unsure.clone(), better]),
            "Always ‘x’ would have earned more: +2.00\u{a0}% (1.00\u{a0}% to 3.00\u{a0}%) per decision."
        );
        assert_eq!(says(&[unsure, worse.clone()]), "No other policy is known to have earned more.");
        assert!(says(&[worse, unknown.clone()]).starts_with("Every policy that these decisions can tell about"));
        assert!(says(std::slice::from_ref(&unknown)).contains("cannot tell"));
        assert!(withheld(&unknown).contains("No floor up to 10 %"));
        let with_floor = PolicyResult { floor_needed: Some(0.02), ..unknown };
        assert!(withheld(&with_floor).contains("A floor of 2.0\u{a0}% for every arm"));
        assert!(verdict(&ComparisonResult::default(), &amounts).starts_with("None of the decisions"));
    }
}
