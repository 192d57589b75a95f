//! Page "Now" of a slot: what it does and earns at the moment, and the quickest ways to stop it.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::{Meaning, badge, lift_text, may_tune, meaning, meanings, percent, reason, share, unbroken},
    latest::{DECISIONS, last_decisions},
    layout::{ConsolePage, slot_path},
    live::live_part,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    chart::number::count,
    engine::{AmountFormat, SlotReport, SlotView},
    wire::proto::{ListDecisionsRequest, insight_service_server::InsightService as _},
};

/// Number of arms that the page lists.
const ARMS: usize = 50;

/// Meanings of the page's figures.
pub(super) const MEANINGS: [Meaning; 6] = [
    meaning(
        "earned per 1,000 decisions",
        "Rewards that came so far, by the weights of the goal.",
        "reading-the-report#figures-of-a-shop",
    ),
    meaning(
        "against the holdout",
        "Shoppers who get what the policy chooses against those who always get the baseline. The interval holds however often you look.",
        "reading-the-report#policy-against-holdout",
    ),
    meaning(
        "cost of exploring",
        "Expected reward that is given up to learn, in place of always showing the best guess.",
        "reading-the-report#cost-of-exploring",
    ),
    meaning(
        "at most to gain by another arm",
        "If this is small, it hardly matters any more which arm is shown.",
        "reading-the-report#value-remaining",
    ),
    meaning("share of showings", "Part of everything that was shown.", "glossary#propensity"),
    meaning(
        "chance best",
        "Probability that the arm earns most if everybody got it.",
        "reading-the-report#chance-best",
    ),
];

fn money(report: &SlotReport, amounts: &AmountFormat) -> Markup {
    let plain = AmountFormat { percent: false, currency: amounts.currency.clone() };
    html! {
        dl.facts {
            div { dt { "decisions" } dd { (count(report.counters.decisions)) } }
            div { dt { "reward events" } dd { (count(report.counters.rewards)) } }
            div { dt { "earned per 1,000 decisions" } dd { (plain.amount(1_000.0 * report.reward_per_decision())) } }
            @if let Some(lift) = &report.lift { div { dt { "against the holdout" } dd { (lift_text(lift, amounts)) } } }
            @if let Some(cost) = report.exploration_cost {
                div { dt { "cost of exploring per 1,000 decisions" } dd { (plain.amount(1_000.0 * cost)) } }
            }
            @if let Some(value) = report.value_remaining {
                div { dt { "at most to gain by another arm" } dd { (amounts.amount(value)) " per showing (95 % sure)" } }
            }
        }
    }
}

fn waiting(slot: &str, visitor: &Visitor) -> Markup {
    let key = if visitor.name().is_some() { " -H 'authorization: Bearer KEY'" } else { "" };
    let body = format!("{{\"slotId\": \"{slot}\", \"subject\": {{\"id\": \"customer-17\"}}}}");
    let curl = format!("curl --json '{body}'{key} {}/v1/Decide", visitor.host());
    html! {
        p { "Waiting for the first decision. A program asks for one like this:" }
        pre { code { (curl) } }
    }
}

fn not_counted(report: &SlotReport) -> Option<String> {
    let counters = &report.counters;
    let parts = [
        (counters.duplicates, "sent twice"),
        (counters.late, "too late"),
        (counters.unmatched, "without a decision"),
        (counters.rejected, "not valid"),
        (counters.other_kinds, "of kinds that the goal does not know"),
    ];
    let texts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    (!texts.is_empty()).then(|| format!("Events that were not counted: {}.", texts.join(", ")))
}

fn arms(view: &SlotView, report: &SlotReport, visitor: &Visitor) -> Markup {
    let id = view.definition.id.as_str();
    html! {
        div.scroll.wide tabindex="0" {
            table {
                caption { "Arms" }
                thead { tr {
                    th scope="col" { "arm" } th scope="col" { "share of showings" } th scope="col" { "shown" } th scope="col" { "chance best" }
                    @if may_tune(visitor) { th.text scope="col" { "pause or resume" } }
                } }
                tbody {
                    @for arm in report.arms.iter().take(ARMS) {
                        tr {
                            th.text scope="row" { (arm.arm) @if !arm.available { " (off)" } }
                            td { (share(arm.share)) }
                            td { (count(arm.shown)) }
                            td { (percent(arm.chance_best)) }
                            @if may_tune(visitor) {
                                td.text { details {
                                    summary aria-label=(format!("{} {}", if arm.available { "Pause" } else { "Resume" }, arm.arm)) { (if arm.available { "Pause" } else { "Resume" }) }
                                    form.inline method="post" action=(slot_path(id, "availability")) {
                                        input type="hidden" name="arm" value=(arm.arm);
                                        input type="hidden" name="available" value=(if arm.available { "false" } else { "true" });
                                        input type="text" name="reason" required maxlength="1000" placeholder="why" aria-label=(format!("Why {}", arm.arm));
                                        button.quiet type="submit" { (if arm.available { "Pause it" } else { "Resume it" }) }
                                    }
                                } }
                            }
                        }
                    }
                }
            }
        }
        @if report.arms.len() > ARMS { p.hint { "The first " (ARMS) " of " (report.arms.len()) " arms; the page Arms has all." } }
    }
}

fn safe_choice(view: &SlotView) -> Markup {
    let on = view.definition.controls.safe_choice();
    html! {
        form.card method="post" action=(slot_path(view.definition.id.as_str(), "safe-choice")) {
            h2 { "Safe choice" }
            p.hint { (if on { "Everybody gets the baseline now. Nothing that was learned is lost." } else { "Shows everybody the baseline at once. Nothing that was learned is lost." }) }
            input type="hidden" name="on" value=(if on { "false" } else { "true" });
            (reason("safe-reason"))
            button.danger[!on] type="submit" { (if on { "Switch it off" } else { "Switch it on" }) }
        }
    }
}

/// Content of the page.
async fn content(console: SharedConsole, visitor: Visitor, view: Arc<SlotView>, now_us: i64) -> Markup {
    let report = console.reports.report(&view, now_us).await;
    let amounts = AmountFormat::of_report(&report);
    let newest = ListDecisionsRequest { slot_id: view.definition.id.to_string(), count: DECISIONS };
    let newest = console.api.list_decisions(visitor.call(newest)).await;
    html! {
        (live_part("summary", &html! {
            (badge(report.status.stage))
            p.sentence aria-live="polite" { (unbroken(&report.status.sentence)) }
            @for alert in &report.alerts { p.problem { (alert.sentence) ". " (alert.advice) "." } }
            (money(&report, &amounts))
            (meanings(&MEANINGS))
            @if report.counters.decisions == 0 { (waiting(view.definition.id.as_str(), &visitor)) }
            @if let Some(text) = not_counted(&report) { p.hint { (text) } }
        }))
        h2 { "Arms" }
        (live_part("arms", &arms(&view, &report, &visitor)))
        @if may_tune(&visitor) { div.columns { (safe_choice(&view)) } }
        h2 { "Last decisions" }
        (live_part("decisions", &match &newest {
            Ok(found) => last_decisions(&found.get_ref().decisions, &visitor),
            Err(why) => html! { p.problem { (why.message()) } },
        }))
        p.hint { "Revision " (report.revision) "." }
    }
}

/// Page "Now".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let (now_us, quick) = (console.now_us()?, console.reports.is_quick(&view));
    let content = content(Arc::clone(&console), visitor.clone(), view, now_us);
    let page = ConsolePage::new(&slot)
        .visitor(&visitor)
        .slot(&slot, "")
        .same_by(format!("slotwise report {slot}"))
        .same_by("POST /v1/GetSlotReport, /v1/ListDecisions");
    Ok(page.show_made(&console, quick, content).await)
}
