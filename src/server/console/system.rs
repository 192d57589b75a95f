//! Page "System": the state of the service, and its keys.

use axum::extract::State;
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::time,
    layout::ConsolePage,
    visitor::{PageResult, Visitor},
};
use crate::{
    access::{AccessKey, Role, SlotPattern},
    wire::proto::{GetSystemStateRequest, insight_service_server::InsightService as _},
};

/// Number of bytes as people read it.
fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(size, _)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(size, name)| format!("{:.1} {name}", count as f64 / size as f64))
}

fn keys(all: &[AccessKey], required: bool, now_us: i64) -> Markup {
    html! {
        h2 { "Keys" }
        @if all.is_empty() && required { p { "There is no key; callers present tokens." } }
        @else if all.is_empty() { p { "There is no key, and no call needs one." } }
        @else {
            div.scroll.wide tabindex="0" { table {
                caption { "Keys of callers" }
                thead { tr { th scope="col" { "name" } th scope="col" { "id" } th scope="col" { "status" } th scope="col" { "roles" } th scope="col" { "slots" } th scope="col" { "expires" } } }
                tbody { @for key in all { tr {
                    th.text scope="row" { (key.name) }
                    td { (key.id) }
                    td { (key.status(now_us).name()) }
                    td.text { (key.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")) }
                    td.text { (key.slots.iter().map(SlotPattern::as_str).collect::<Vec<_>>().join(", ")) }
                    td { (key.expires_us.map_or_else(|| "never".to_owned(), time)) }
                } } }
            } }
        }
        p.hint { "Keys are created and revoked on the service's machine: " code { "slotwise keys create" } ", " code { "slotwise keys revoke" } "." }
    }
}

/// Page "System".
pub(super) async fn page(State(console): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::View)?;
    let state = console.api.get_system_state(visitor.call(GetSystemStateRequest {})).await?.into_inner();
    let now_us = console.now_us()?;
    let listed = if visitor.may(Role::Admin) { console.keys.read().ok() } else { None };
    let content = html! {
        div #state data-live {
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
        }
        p { "Metrics for Prometheus: " code { "/metrics" } ". The API: " code { "/openapi.json" } ". Where keys are asked for, both need one with the role view." }
        @if visitor.may(Role::Admin) && listed.is_none() { p.problem { "The file of the keys cannot be read; the service's log says why." } }
        @if let Some(listed) = &listed { (keys(listed.as_deref().unwrap_or_default(), console.access.is_required(), now_us)) }
    };
    Ok(ConsolePage::new("System")
        .visitor(&visitor)
        .same_by("slotwise journal stats")
        .same_by("POST /v1/GetSystemState")
        .show(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_the_largest_unit_that_fits() {
        let all = [0, 1_023, 1_536, 3 << 20, 5 << 30];
        assert_eq!(all.map(bytes), ["0 bytes", "1023 bytes", "1.5 KiB", "3.0 MiB", "5.0 GiB"]);
    }
}
