//! Page on which a rule is written: its effect, its condition, what it would do, and the form that applies it.
//!
//! The draft stands in the address, as that of the page "Change" does.

use std::collections::BTreeSet;

use axum::{
    Form,
    extract::{Path, Query, State},
};
use maud::{Markup, html};
use prost_types::FieldMask;
use serde::Deserialize;
use tonic::Code;

use super::{
    draft::{RuleDraft, in_words_of_the_form},
    effects::{EFFECTS, EffectField, FieldKind},
    rules_request,
};
use crate::{
    access::Role,
    engine::{AmountFormat, SlotView},
    server::console::{
        SharedConsole,
        change::preview,
        decision::context_list,
        drafts::{ChangeOutcome, apply_button, demands_approval},
        fields::{form_path, may_tune, number_field, percent, reason, redirect, time_of},
        layout::{ConsolePage, slot_path},
        visitor::{PageError, PageResult, Visitor},
    },
    wire::proto::{
        self, ListDecisionsRequest, ListFeaturesRequest, PreviewSlotChangeRequest, PreviewSlotChangeResponse,
        RecentDecision, insight_service_server::InsightService as _, slot_service_server::SlotService as _,
    },
};

/// Number of names of features and of attributes that are listed.
const NAMES: usize = 20;
/// Number of arms that are looked at for their attributes, and that are listed for one request.
const ARMS: usize = 50;

/// Rule that is asked for.
#[derive(Debug, Default, Deserialize)]
pub(in crate::server::console) struct RuleQuery {
    /// Name of a rule to edit.
    #[serde(default)]
    rule: String,
    /// Preview the draft.
    preview: Option<String>,
    #[serde(flatten)]
    draft: RuleDraft,
}

/// Effect of the draft on past decisions.
struct RulePreviewed {
    found: PreviewSlotChangeResponse,
    name: String,
    /// Last decision, and the preview on it alone.
    last: Option<(RecentDecision, PreviewSlotChangeResponse)>,
}

/// Choice of the effect.
fn choice(slot: &str, draft: &RuleDraft) -> Markup {
    let path = slot_path(slot, "rule");
    let kept = draft.set_fields();
    html! {
        h2 { "What should the rule do?" }
        ul.cards { @for (effect, name, example) in EFFECTS {
            @let fields: Vec<_> = kept.iter().copied().filter(|(name, _)| *name != "effect").chain([("effect", effect)]).collect();
            li.card {
                h2 { a href=(form_path(&path, &fields)) { (name) } }
                p { (example) }
            }
        } }
    }
}

fn field(field: &EffectField<'_>) -> Markup {
    let EffectField { name, label, hint, kind, value } = field;
    html! {
        @match kind {
            FieldKind::Number => { (number_field(name, label, hint, value)) }
            FieldKind::Text => {
                div.pair {
                    label for=(name) { (label) }
                    input id=(name) type="text" name=(name) value=(value) maxlength="128" autocomplete="off";
                    p.hint { (hint) }
                }
            }
            FieldKind::Tick => {
                div.pair {
                    label { input type="checkbox" name=(name) value="on" checked[*value == "on"]; " " (label) }
                    p.hint { (hint) }
                }
            }
        }
    }
}

fn names_text(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = if names.len() > NAMES { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

fn form(slot: &str, draft: &RuleDraft, features: &[String], attributes: &[String]) -> Markup {
    let effect = EFFECTS.iter().find(|(name, ..)| *name == draft.effect);
    let other: Vec<_> = draft.set_fields().into_iter().filter(|(name, _)| *name != "effect").collect();
    html! {
        form.card method="get" action=(slot_path(slot, "rule")) {
            h2 { @if draft.original.is_empty() { "New rule" } @else { "Edit the rule" } }
            input type="hidden" name="revision" value=(draft.revision);
            input type="hidden" name="original" value=(draft.original);
            input type="hidden" name="effect" value=(draft.effect);
            @if draft.paused == "on" { input type="hidden" name="paused" value="on"; }
            @if let Some((_, name, example)) = effect {
                p { strong { (name) } ". " (example) " " a href=(form_path(&slot_path(slot, "rule"), &other)) { "Another effect" } }
            }
            div.pair {
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="128" value=(draft.name) autocomplete="off" aria-describedby="name-hint";
                p.hint #name-hint { "Explanations and the history call the rule by it." }
            }
            div.pair {
                label for="when" { "Condition" }
                textarea #when name="when" rows="4" spellcheck="false" maxlength="4096" placeholder="arm.discount > 0.2" aria-describedby="when-hint" { (draft.when) }
                p.hint #when-hint {
                    "An expression in CEL that holds for an arm: " code { "context.device == \"phone\" && arm.discount > 0.2" } ". Empty always holds."
                    @if !features.is_empty() { " Of the context came: " (names_text(features)) "." }
                    @if !attributes.is_empty() { " Arms have: " (names_text(attributes)) ", and " code { "arm.id" } "." }
                    @else { " Arms have " code { "arm.id" } "." }
                }
            }
            @for of in draft.effect_fields() { (field(&of)) }
            div.pair {
                label for="on_error" { "If the condition fails, as when a feature is missing" }
                select #on_error name="on_error" {
                    option value="" selected[draft.on_error != "exclude"] { "the rule does not apply" }
                    option value="exclude" selected[draft.on_error == "exclude"] { "the arm is not shown" }
                }
            }
            button type="submit" name="preview" value="1" { "Check and preview" }
            p.hint { "Checks the condition and runs the rule over past decisions. Nothing is changed yet." }
        }
    }
}

/// Effect of a rule on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EffectOnRequest {
    Some,
    /// The rule as it is has an effect, and the draft has none.
    NoLonger,
    /// The rule changes what the policy would show, and the shopper is shown the baseline.
    Baseline,
    None,
}

impl EffectOnRequest {
    /// Returns the effect by a preview on that request alone. The rule has the name `original` before the change, if it
    /// is an edited one.
    fn of(found: &PreviewSlotChangeResponse, name: &str, original: &str) -> Self {
        let rule = |name: &str| found.rules.iter().find(|of| of.name == name);
        let is_some = |part: Option<f64>| part.unwrap_or(0.0) > 0.0;
        let value = |of: Option<proto::Estimate>| of.map_or(0.0, |of| of.value).to_bits();
        // A preview counts an effect on the policy's choice only as far as the choice is shown.
        let changes_choice =
            || found.arms.iter().any(|arm| value(arm.policy_share_before) != value(arm.policy_share_after));
        if is_some(rule(name).and_then(|of| of.matched_after)) {
            Self::Some
        } else if is_some(rule(original).and_then(|of| of.matched_before)) {
            Self::NoLonger
        } else if changes_choice() {
            Self::Baseline
        } else {
            Self::None
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Some => "The rule has an effect on it.",
            Self::NoLonger => "The rule no longer has an effect on it.",
            Self::Baseline => {
                "This shopper gets the baseline (the holdout, or outside the test), and the rule does not concern it. For another shopper it has an effect."
            }
            Self::None => "The rule has no effect on it.",
        }
    }
}

/// Result on the last request alone.
fn tried(slot: &str, last: &RecentDecision, found: &PreviewSlotChangeResponse, effect: EffectOnRequest) -> Markup {
    let id = last.decision.as_ref().map(|decision| decision.decision_id.as_str()).unwrap_or_default();
    let share = |of: Option<proto::Estimate>| percent(of.map_or(0.0, |of| of.value));
    let caption = match effect {
        EffectOnRequest::Baseline => "Probabilities for such a request of a shopper who gets the policy's choice",
        EffectOnRequest::Some | EffectOnRequest::NoLonger | EffectOnRequest::None => {
            "Probabilities for the last request"
        }
    };
    html! {
        section.card {
            h2 { "On the last request" }
            p { strong { (effect.sentence()) } }
            p.hint { (time_of(last.time)) ", " a href=(form_path("/decisions", &[("id", id)])) { "its decision" } ". Other values: " a href=(slot_path(slot, "try")) { "Try it" } "." }
            (context_list(&last.context))
            div.scroll tabindex="0" { table {
                caption { (caption) }
                thead { tr { th scope="col" { "arm" } th scope="col" { "now" } th scope="col" { "with the rule" } } }
                tbody { @for arm in found.arms.iter().take(ARMS) { tr {
                    th.text scope="row" { (arm.arm_id) }
                    td { (share(arm.policy_share_before)) }
                    td { (share(arm.policy_share_after)) }
                } } }
            } }
        }
    }
}

fn apply_form(slot: &str, draft: &RuleDraft, demanded: bool) -> Markup {
    html! {
        form.card method="post" action=(slot_path(slot, "rule")) {
            h2 { "Apply it" }
            @for (name, value) in draft.set_fields() { input type="hidden" name=(name) value=(value); }
            (reason("rule-reason"))
            (apply_button(demanded))
        }
    }
}

/// Names of the attributes that the first arms have.
fn attributes_of(view: &SlotView) -> Vec<String> {
    let arms = view.arms_in_effect().iter().take(ARMS);
    let names: BTreeSet<&String> = arms.flat_map(|arm| arm.attributes.keys()).collect();
    names.into_iter().cloned().collect()
}

/// Runs the draft over past decisions. The error is in the words of the form.
async fn previewed(
    console: &SharedConsole,
    visitor: &Visitor,
    slot: &str,
    draft: &RuleDraft,
    now: Vec<proto::Rule>,
) -> Result<RulePreviewed, String> {
    let (rules, place) = draft.rules(now)?;
    let name = rules.get(place).map(|rule| rule.name.clone()).unwrap_or_default();
    let request = |decisions| PreviewSlotChangeRequest {
        slot: Some(proto::Slot { slot_id: slot.to_owned(), rules: rules.clone(), ..proto::Slot::default() }),
        update_mask: Some(FieldMask { paths: vec!["rules".to_owned()] }),
        decisions,
    };
    let words = |status: tonic::Status| in_words_of_the_form(status.message(), place);
    let found = console.api.preview_slot_change(visitor.call(request(0))).await.map_err(words)?.into_inner();
    if found.diff.is_empty() {
        return Err("This changes nothing.".to_owned());
    }
    let newest = ListDecisionsRequest { slot_id: slot.to_owned(), count: 1 };
    let newest = console.api.list_decisions(visitor.call(newest)).await.map_err(words)?.into_inner();
    let last = match newest.decisions.into_iter().next() {
        Some(last) => {
            let alone = console.api.preview_slot_change(visitor.call(request(1))).await.map_err(words)?;
            Some((last, alone.into_inner()))
        }
        None => None,
    };
    Ok(RulePreviewed { found, name, last })
}

async fn show(
    console: &SharedConsole,
    visitor: &Visitor,
    slot: &str,
    draft: &RuleDraft,
    (wanted, wrong): (bool, Option<String>),
) -> PageResult {
    let view = console.api.slot_of(&visitor.call(()), slot)?;
    let features = ListFeaturesRequest { slot_id: slot.to_owned() };
    let features = console.api.list_features(visitor.call(features)).await?.into_inner().features;
    let features: Vec<String> = features.into_iter().map(|of| of.feature).collect();
    let (mut wrong, mut ran) = (wrong, None);
    if wanted && wrong.is_none() {
        let now = console.read_slot(visitor, slot).await?.rules;
        match previewed(console, visitor, slot, draft, now).await {
            Ok(found) => ran = Some(found),
            Err(why) => wrong = Some(why),
        }
    }
    let amounts = AmountFormat::of_slot(&view);
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        @if draft.effect.is_empty() { (choice(slot, draft)) }
        @else {
            div.columns.sided {
                (form(slot, draft, &features, &attributes_of(&view)))
                @if let Some(RulePreviewed { found, name, last }) = &ran {
                    div.stack {
                        @if may_tune(visitor) { (apply_form(slot, draft, demands_approval(&view, &["rules"]))) }
                        @if let Some((last, alone)) = last { (tried(slot, last, alone, EffectOnRequest::of(alone, name, &draft.original))) }
                        (preview(found, &amounts))
                    }
                }
            }
        }
    };
    let title = format!("{slot}: rule");
    Ok(ConsolePage::new(&title)
        .visitor(visitor)
        .slot(slot, "rules")
        .same_by("slotwise slots preview -f FILE, slotwise slots apply -f FILE")
        .same_by("POST /v1/PreviewSlotChange, /v1/UpdateSlot with updateMask \"rules\"")
        .show(&content))
}

/// Page on which a rule is written.
pub(in crate::server::console) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Query(RuleQuery { rule, preview, draft }): Query<RuleQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let read = console.read_slot(&visitor, &slot).await?;
    let mut draft = draft;
    if !rule.is_empty() {
        let Some(found) = read.rules.iter().find(|of| of.name == rule) else {
            return Err(PageError::Request(axum::http::StatusCode::NOT_FOUND, "the slot has no rule of this name"));
        };
        draft = RuleDraft::of(found, read.revision);
    } else if draft.revision.is_empty() {
        draft.revision = read.revision.to_string();
    }
    show(&console, &visitor, &slot, &draft, (preview.is_some(), None)).await
}

/// Applies a draft.
pub(in crate::server::console) async fn apply(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Path(slot): Path<String>,
    Form(draft): Form<RuleDraft>,
) -> PageResult {
    visitor.check(Role::Tune)?;
    let read = console.read_slot(&visitor, &slot).await?;
    let (rules, place) = match draft.rules(read.rules) {
        Ok(made) => made,
        Err(why) => return show(&console, &visitor, &slot, &draft, (false, Some(why))).await,
    };
    let Ok(revision) = draft.revision.parse() else {
        return Err(PageError::Request(
            axum::http::StatusCode::BAD_REQUEST,
            "the form names no revision; open it again",
        ));
    };
    match console.update_or_draft(&visitor, rules_request(&slot, revision, rules, &draft.reason)).await {
        Ok(ChangeOutcome::Applied) => Ok(redirect(&slot_path(&slot, "rules"))),
        Ok(ChangeOutcome::Drafted(path)) => Ok(redirect(&path)),
        // The draft stays, made from what the slot is now, to be looked at again.
        Err(status) if matches!(status.code(), Code::InvalidArgument | Code::Aborted) => {
            let why = in_words_of_the_form(status.message(), place);
            let draft = RuleDraft { revision: read.revision.to_string(), ..draft };
            show(&console, &visitor, &slot, &draft, (false, Some(why))).await
        }
        Err(status) => Err(status.into()),
    }
}
