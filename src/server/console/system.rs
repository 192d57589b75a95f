//! Page "System": the state of the service.

use axum::extract::State;
use maud::html;

use super::{
    SharedConsole,
    fields::{bytes, time},
    layout::ConsolePage,
    live::live_part,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::Role,
    wire::proto::{GetSystemStateRequest, insight_service_server::InsightService as _},
};

/// Page "System".
pub(super) async fn page(State(console): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::View)?;
    let state = console.api.get_system_state(visitor.call(GetSystemStateRequest {})).await?.into_inner();
    let now_us = console.now_us()?;
    let content = html! {
        (live_part("state", &html! {
            @if state.disk_full { p.problem { "The disk is full: rewards and changes are refused until there is room." } }
            @if state.clock_doubt_seconds != 0 { p.problem { "The clock and the journal disagree by " (state.clock_doubt_seconds) " seconds." } }
            dl.facts {
                div { dt { "version" } dd { (state.version) } }
                div { dt { "time" } dd { (time(now_us)) } }
                div { dt { "slots" } dd { (state.slots) } }
                div { dt { "decisions that wait for rewards" } dd { (state.pending_decisions) " (" (bytes(state.pending_decisions_bytes)) ")" } }
                div { dt { "journal" } dd { (bytes(state.journal_bytes)) } }
                div { dt { "write-ahead log" } dd { (bytes(state.log_bytes)) } }
                div { dt { "snapshots" } dd { (bytes(state.snapshot_bytes)) } }
            }
        }))
        p { "Metrics for Prometheus: " code { "/metrics" } ". The API: " code { "/openapi.json" } ". Where keys are asked for, both need one with the role view." }
        @if visitor.may(Role::Admin) { p { a href="/keys" { "Keys" } " of callers and visitors." } }
    };
    Ok(ConsolePage::new("System")
        .visitor(&visitor)
        .same_by("slotwise journal stats")
        .same_by("POST /v1/GetSystemState")
        .show(&content))
}
