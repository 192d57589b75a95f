//! Pages "Slots", with a card for each, and "New slot".

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    SharedConsole,
    draw::spark,
    fields::{badge, counted, form_path, lift_text, may_tune, unbroken},
    layout::{ConsolePage, slot_path},
    live::live_part,
    reports::Reports,
    safe_choice::safe_choice_of_all,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    engine::{AmountFormat, SeriesStep, SlotReport, SlotStage, SlotView},
};

/// Number of slots of a page.
const SLOTS: usize = 50;
/// Arms up to which the slots of a page are reported in full.
const ARMS: usize = 20_000;
/// Time of the strip in a card, microseconds.
const STRIP_US: i64 = 24 * 3_600 * 1_000_000;

/// Slots that the page shows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SlotsQuery {
    /// Text in the id or the name.
    #[serde(default)]
    find: String,
    /// Number of slots that come before.
    #[serde(default)]
    from: usize,
}

/// Card of a slot.
struct SlotCard {
    view: Arc<SlotView>,
    report: Option<Arc<SlotReport>>,
}

async fn cards(reports: &Reports, views: Vec<Arc<SlotView>>, now_us: i64) -> Vec<SlotCard> {
    let mut arms = 0;
    let mut cards = Vec::with_capacity(views.len());
    for view in views {
        arms += view.arms.names().len().max(view.arms_in_effect().len());
        // The reports of huge slots are computed on their own pages.
        let report = if arms <= ARMS { Some(reports.report(&view, now_us).await) } else { None };
        cards.push(SlotCard { view, report });
    }
    let attention =
        |card: &SlotCard| card.report.as_ref().is_some_and(|of| of.status.stage == SlotStage::NeedsAttention);
    cards.sort_by_key(|card| !attention(card));
    cards
}

fn show_card(SlotCard { view, report }: &SlotCard, now_us: i64) -> Markup {
    let id = view.definition.id.as_str();
    let steps = view.series.between(now_us - STRIP_US, now_us + 1, SeriesStep::Hour);
    let first = SeriesStep::Hour.start_us(now_us - STRIP_US);
    let mut hours = vec![0; 25];
    for counts in &steps {
        let hour = usize::try_from((counts.start_us - first) / SeriesStep::Hour.us()).unwrap_or(usize::MAX);
        if let Some(of) = hours.get_mut(hour) {
            *of += counts.totals.decisions;
        }
    }
    let day: u64 = hours.iter().sum();
    html! {
        li.card {
            h2 { a href=(slot_path(id, "")) { (id) } }
            @if !view.definition.display_name.is_empty() { p.name { (view.definition.display_name) } }
            @match report {
                Some(report) => {
                    (badge(report.status.stage))
                    p { (unbroken(&report.status.sentence)) }
                    @if let Some(lift) = &report.lift { p.hint { (lift_text(lift, &AmountFormat::of_report(report))) } }
                }
                None => { p.hint { (counted(view.arms_in_effect().len() as u64, "arm")) "; its report is on its own page." } }
            }
            (spark(&hours))
            p.hint { (counted(day, "decision")) " in the last 24 hours" }
        }
    }
}

/// Slots of a page, among all that the visitor reaches.
struct SlotSelection {
    shown: Vec<Arc<SlotView>>,
    /// Number of slots that the visitor reaches.
    all: usize,
    /// Number of those in which the safe choice is on.
    safe: usize,
    /// Number of slots with the text that was asked for.
    found: usize,
    query: SlotsQuery,
}

impl SlotSelection {
    fn new(mut views: Vec<Arc<SlotView>>, query: SlotsQuery) -> Self {
        let all = views.len();
        let safe = views.iter().filter(|view| view.definition.controls.safe_choice()).count();
        let find = query.find.trim().to_lowercase();
        if !find.is_empty() {
            views.retain(|view| {
                let definition = &view.definition;
                definition.id.as_str().to_lowercase().contains(&find)
                    || definition.display_name.to_lowercase().contains(&find)
            });
        }
        let found = views.len();
        let shown = views.into_iter().skip(query.from).take(SLOTS).collect();
        Self { shown, all, safe, found, query }
    }
}

/// Content of the page.
async fn content(console: SharedConsole, visitor: Visitor, selection: SlotSelection, now_us: i64) -> Markup {
    let SlotSelection { shown, all, safe, found, query } = selection;
    let cards = cards(&console.reports, shown, now_us).await;
    let next = query.from.saturating_add(SLOTS);
    html! {
        @if all == 0 {
            p.sentence { "No slot yet." }
            p { "A slot is a place where one of several things can be shown: an offer, a ranking, a block of an email." }
        }
        @if may_tune(&visitor) { p { a.action href="/new" { "New slot" } } }
        @if all > 0 { (safe_choice_of_all(&visitor, all, safe)) }
        @if all > 8 {
            form.inline method="get" action="/" role="search" {
                label for="find" { "Find" }
                input #find type="search" name="find" value=(query.find);
                button.quiet type="submit" { "Find" }
            }
        }
        (live_part("cards", &html! { ul.cards { @for card in &cards { (show_card(card, now_us)) } } }))
        @if next < found {
            p { a href=(form_path("/", &[("find", query.find.as_str()), ("from", &next.to_string())])) { "More slots" } }
        }
    }
}

/// Page with a card for each slot.
pub(super) async fn page(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Query(query): Query<SlotsQuery>,
) -> PageResult {
    visitor.check(Role::View)?;
    let selection = SlotSelection::new(console.api.slots_of(&visitor.call(()))?, query);
    let quick = selection.shown.iter().all(|view| console.reports.is_quick(view));
    let content = content(Arc::clone(&console), visitor.clone(), selection, console.now_us()?);
    let page = ConsolePage::new("Slots")
        .visitor(&visitor)
        .same_by("slotwise slots list, slotwise slots safe --all on")
        .same_by("POST /v1/ListSlots, /v1/SetSafeChoice");
    Ok(page.show_made(&console, quick, content).await)
}

/// Form of a new slot, filled in as it was sent, with what is wrong.
pub(super) fn new_form(visitor: &Visitor, slot: &str, arms: &str, template: &str, wrong: Option<&str>) -> Response {
    let templates = [
        ("offer", "An offer: one of several, and its click is what counts"),
        ("ranking", "A ranking: the order of products, with clicks by position"),
        ("block", "A block of products: several at once, and purchases count"),
    ];
    let content = html! {
        @if let Some(wrong) = wrong { p.problem role="alert" { (wrong) } }
        form.card method="post" action="/new" {
            label for="slot" { "Id of the slot" }
            input #slot type="text" name="slot" required maxlength="128" pattern="[A-Za-z0-9][A-Za-z0-9._:\\-]*" value=(slot);
            p.hint { "Letters, digits and . _ : - as in home-offers. Programs ask for decisions by it." }
            label for="template" { "Template" }
            select #template name="template" {
                @for (value, text) in templates { option value=(value) selected[value == template] { (text) } }
            }
            label for="arms" { "Arms, one id on each line" }
            textarea #arms name="arms" rows="6" required { (arms) }
            (super::fields::reason("reason"))
            button type="submit" { "Create the slot" }
        }
    };
    ConsolePage::new("New slot")
        .visitor(visitor)
        .same_by("slotwise slots new")
        .same_by("POST /v1/CreateSlot")
        .show(&content)
}

/// Page on which a slot is made from a template.
pub(super) async fn new_page(State(_): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::Tune)?;
    Ok(new_form(&visitor, "", "", "offer", None))
}
