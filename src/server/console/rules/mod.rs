//! Page "Rules" of a slot: what each rule says and how often it has an effect, and the changes of the list.
//!
//! * `draft`: a rule as its form has it. `effects`: the fields of each effect. `form`: the page on which a rule is written, previewed and applied.
//!
//! Invariant: every change is made from the revision that the page showed, so that two editors never overwrite each other silently.

mod draft;
mod effects;
mod form;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Form,
    extract::{Path, Query, State},
};
use maud::{Markup, html};
use prost_types::FieldMask;
use serde::Deserialize;
use tokio::time::Instant;
use tonic::Code;

pub(super) use self::form::{apply as apply_rule, page as rule_page};
use super::{
    Console, SharedConsole,
    drafts::{ChangeOutcome, demands_approval},
    fields::{counted, form_path, may_tune, percent, redirect},
    layout::{ConsolePage, slot_path},
    visitor::{PageError, PageResult, Visitor},
};
use crate::{
    access::Role,
    slot::{Effect, OnError, Rule},
    wire::proto::{
        self, GetSlotRequest, PreviewSlotChangeRequest, PreviewSlotChangeResponse, UpdateSlotRequest,
        slot_service_server::SlotService as _,
    },
};

/// Time for which the counts of a revision's rules are kept.
const COUNTS_AGE: Duration = Duration::from_secs(30);
/// Number of slots whose counts are kept.
const COUNTS_MAX: usize = 64;

/// Counts of a revision's rules.
#[derive(Debug, Clone)]
struct CountedRules {
    revision: u64,
    at: Instant,
    found: Arc<PreviewSlotChangeResponse>,
}

/// Counts of the slots that people look at, by the slot's id.
#[derive(Debug, Default)]
pub(super) struct RuleCounts(Mutex<HashMap<String, CountedRules>>);

/// Page that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RulesQuery {
    /// Count how often each rule has an effect.
    counts: String,
}

/// Form that changes the list of rules.
#[derive(Debug, Deserialize)]
pub(super) struct RulesForm {
    revision: u64,
    /// Name of the rule.
    rule: String,
    action: RuleAction,
    #[serde(default)]
    reason: String,
}

/// Change of the list of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RuleAction {
    Pause,
    Resume,
    Up,
    Down,
    Remove,
}

/// Length of a time, in the greatest unit that divides it.
fn span(us: i64) -> String {
    let seconds = us.unsigned_abs() / 1_000_000;
    let units = [(24 * 3_600, "day"), (3_600, "hour"), (60, "minute")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length)).unwrap_or((1, "second"));
    counted(seconds / length, unit)
}

/// Effect of a rule on an arm, in words.
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
        Effect::SubjectCap { count, window_us, .. } => {
            let times = counted(u64::from(*count), "time");
            format!("is shown to one shopper at most {times} in {}", span(*window_us))
        }
        Effect::DayCap { count, .. } => format!("is shown at most {} a day", counted(*count, "time")),
        Effect::Quota { attribute, top, .. } => format!("mixes the values of {attribute} among the first {top}"),
        Effect::MaxMoves { positions } => {
            format!("moves at most {} from where the caller put it", counted(u64::from(*positions), "position"))
        }
    }
}

/// Changes the list of rules. Returns `None` if there is no rule of this name.
fn changed(mut rules: Vec<proto::Rule>, name: &str, action: RuleAction) -> Option<Vec<proto::Rule>> {
    let at = rules.iter().position(|rule| rule.name == name)?;
    match action {
        RuleAction::Pause => rules[at].paused = true,
        RuleAction::Resume => rules[at].paused = false,
        RuleAction::Up => rules.swap(at, at.saturating_sub(1)),
        RuleAction::Down => {
            let next = (at + 1).min(rules.len() - 1);
            rules.swap(at, next);
        }
        RuleAction::Remove => drop(rules.remove(at)),
    }
    Some(rules)
}

impl Console {
    /// Counts in how many of the last decisions each rule of a slot has an effect.
    async fn count_rules(
        &self,
        visitor: &Visitor,
        slot: &proto::Slot,
    ) -> Result<Arc<PreviewSlotChangeResponse>, PageError> {
        let lock = || self.rule_counts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&slot.slot_id).cloned();
        if let Some(known) = known.filter(|of| of.revision == slot.revision && of.at.elapsed() < COUNTS_AGE) {
            return Ok(known.found);
        }
        // A change that changes nothing: the preview counts for the rules as they are.
        let same = proto::Slot {
            slot_id: slot.slot_id.clone(),
            display_name: slot.display_name.clone(),
            ..proto::Slot::default()
        };
        let mask = FieldMask { paths: vec!["display_name".to_owned()] };
        let request = PreviewSlotChangeRequest { slot: Some(same), update_mask: Some(mask), decisions: 0 };
        let found = Arc::new(self.api.preview_slot_change(visitor.call(request)).await?.into_inner());
        let mut kept = lock();
        kept.retain(|_, counts| counts.at.elapsed() < COUNTS_AGE);
        if kept.len() < COUNTS_MAX {
            let counts = CountedRules { revision: slot.revision, at: Instant::now(), found: Arc::clone(&found) };
            kept.insert(slot.slot_id.clone(), counts);
        }
        Ok(found)
    }

    /// Reads a slot as the API gives it.
    async fn read_slot(&self, visitor: &Visitor, slot: &str) -> Result<proto::Slot, PageError> {
        let request = GetSlotRequest { slot_id: slot.to_owned() };
        Ok(self.api.get_slot(visitor.call(request)).await?.into_inner().slot.unwrap_or_default())
    }
}

/// Request that gives a slot other rules.
fn rules_request(slot: &str, revision: u64, rules: Vec<proto::Rule>, reason: &str) -> UpdateSlotRequest {
    let slot = proto::Slot { slot_id: slot.to_owned(), revision, rules, ..proto::Slot::default() };
    UpdateSlotRequest {
        slot: Some(slot),
        update_mask: Some(FieldMask { paths: vec!["rules".to_owned()] }),
        reason: reason.to_owned(),
        ..UpdateSlotRequest::default()
    }
}

fn change_form(slot: &str, revision: u64, rule: &Rule, place: usize, count: usize) -> Markup {
    let id = format!("why-{place}");
    let (pause, pause_text) = if rule.paused { ("resume", "Resume") } else { ("pause", "Pause") };
    html! {
        details {
            summary { "Change this rule" }
            p { a href=(form_path(&slot_path(slot, "rule"), &[("rule", &rule.name)])) { "Edit it" } }
            form method="post" action=(slot_path(slot, "rules")) {
                input type="hidden" name="revision" value=(revision);
                input type="hidden" name="rule" value=(rule.name);
                div.pair {
                    label for=(id) { "Why" }
                    input id=(id) type="text" name="reason" required maxlength="1000" placeholder="for the history";
                }
                p.buttons {
                    button.quiet type="submit" name="action" value=(pause) { (pause_text) }
                    @if place > 0 { button.quiet type="submit" name="action" value="up" { "Move up" } }
                    @if place + 1 < count { button.quiet type="submit" name="action" value="down" { "Move down" } }
                    button.quiet.danger type="submit" name="action" value="remove" { "Remove" }
                }
            }
        }
    }
}

fn effect_count(found: &PreviewSlotChangeResponse, rule: &Rule) -> Option<String> {
    let part = found.rules.iter().find(|of| of.name == rule.name)?.matched_before?;
    (found.decisions_used > 0).then(|| {
        let decisions = counted(u64::from(found.decisions_used), "decision");
        format!("Has an effect in {} of the last {decisions}.", percent(part))
    })
}

fn card(
    slot: &proto::Slot,
    rules: &[Rule],
    place: usize,
    found: Option<&PreviewSlotChangeResponse>,
    may_change: bool,
) -> Markup {
    let rule = &rules[place];
    html! {
        li.card {
            h2 { (rule.name) @if rule.paused { " " span.skipped { span.badge { "paused" } } } }
            p { "An arm for which the condition holds " (effect(rule)) "." }
            @if rule.when.trim().is_empty() { p.hint { "The condition always holds." } }
            @else { pre.condition { code { (rule.when) } } }
            @if rule.on_error == OnError::Exclude { p.hint { "Where the condition fails, the arm is not shown." } }
            @if let Some(text) = found.and_then(|found| effect_count(found, rule)) { p { (text) } }
            @if may_change { (change_form(&slot.slot_id, slot.revision, rule, place, rules.len())) }
        }
    }
}

fn list(
    slot: &proto::Slot,
    rules: &[Rule],
    found: Option<&PreviewSlotChangeResponse>,
    may_change: bool,
    counts_path: &str,
) -> Markup {
    html! {
        div #rules data-more=[found.is_none().then_some(counts_path)] {
            @match found {
                None => { p.hint { a href=(counts_path) { "Count how often each rule has an effect" } } }
                Some(found) => {
                    @if found.decisions_used == 0 { p.hint { "No past decision to count on yet." } }
                    @else if !found.warnings.is_empty() { ul.warnings { @for warning in &found.warnings { li { (warning) } } } }
                }
            }
            ol.cards.numbered { @for place in 0..rules.len() { (card(slot, rules, place, found, may_change)) } }
        }
    }
}

/// Page "Rules".
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(query): Query<RulesQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let view = console.api.slot_of(&visitor.call(()), &slot)?;
    let read = console.read_slot(&visitor, &slot).await?;
    let rules = &view.definition.rules;
    let has_counts = !query.counts.is_empty() && !rules.is_empty();
    let found = if has_counts { Some(console.count_rules(&visitor, &read).await?) } else { None };
    let (rule_path, may_change) = (slot_path(&slot, "rule"), may_tune(&visitor));
    let counts_path = form_path(&slot_path(&slot, "rules"), &[("counts", "1")]);
    let content = html! {
        @if rules.is_empty() {
            p.sentence { "The slot has no rule." }
            p { "Rules keep arms away from shoppers, cap how often they are shown, or pin them to a position, whatever was learned." }
        } @else {
            p { "Every rule whose condition holds has its effect. Rules that keep arms away hold for everybody, the holdout included." }
        }
        @if may_change { p { a.action href=(rule_path) { "New rule" } } }
        @if may_change && demands_approval(&view, &["rules"]) {
            p.hint { "The slot demands that a second person approves changes of its rules. Each becomes a draft, which somebody else approves." }
        }
        @if !rules.is_empty() { (list(&read, rules, found.as_deref(), may_change, &counts_path)) }
    };
    let title = format!("{slot}: rules");
    Ok(ConsolePage::new(&title)
        .visitor(&visitor)
        .slot(&slot, "rules")
        .same_by(format!("slotwise slots get {slot}"))
        .same_by("slotwise slots apply -f FILE")
        .same_by("POST /v1/GetSlot, /v1/UpdateSlot with updateMask \"rules\"")
        .show(&content))
}

/// Changes the list of rules.
pub(super) async fn change(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(RulesForm { revision, rule, action, reason }): Form<RulesForm>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let read = console.read_slot(&visitor, &slot).await?;
    let Some(rules) = changed(read.rules, &rule, action) else {
        let why = format!("The rule '{rule}' is no longer there: somebody removed or renamed it.");
        return Ok(refused(&visitor, &slot, &why));
    };
    match console.update_or_draft(&visitor, rules_request(&slot, revision, rules, &reason)).await {
        Ok(ChangeOutcome::Applied) => Ok(redirect(&slot_path(&slot, "rules"))),
        Ok(ChangeOutcome::Drafted(path)) => Ok(redirect(&path)),
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::Aborted) => {
            Ok(refused(&visitor, &slot, status.message()))
        }
        Err(status) => Err(status.into()),
    }
}

/// Says that the list of rules was not changed.
fn refused(visitor: &Visitor, slot: &str, why: &str) -> axum::response::Response {
    let content = html! {
        p.problem role="alert" { (why) }
        p { "Nothing was changed. " a href=(slot_path(slot, "rules")) { "Look at the rules as they are now" } "." }
    };
    ConsolePage::new("The rules were not changed").visitor(visitor).slot(slot, "rules").show(&content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_changed_by_the_name_of_a_rule() {
        let rules: Vec<proto::Rule> = ["a", "b", "c"]
            .into_iter()
            .map(|name| proto::Rule { name: name.into(), ..proto::Rule::default() })
            .collect();
        let after = |name, action| {
            let rules = changed(rules.clone(), name, action)?;
            let text = |rule: &proto::Rule| format!("{}{}", rule.name, if rule.paused { "-" } else { "" });
            Some(rules.iter().map(text).collect::<Vec<_>>().join(" "))
        };
        for (name, action, want) in [
            ("b", RuleAction::Pause, Some("a b- c")),
            ("b", RuleAction::Resume, Some("a b c")),
            ("b", RuleAction::Up, Some("b a c")),
            ("a", RuleAction::Up, Some("a b c")),
            ("b", RuleAction::Down, Some("a c b")),
            ("c", RuleAction::Down, Some("a b c")),
            ("a", RuleAction::Remove, Some("b c")),
            ("d", RuleAction::Remove, None),
        ] {
            assert_eq!(after(name, action).as_deref(), want, "{name} {action:?}");
        }
    }
}
