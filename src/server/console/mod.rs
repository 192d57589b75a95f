//! Console: pages on the HTTP port, on which people see what their slots do and steer them.
//!
//! * `session`, `visitor`: who looks, by a key that was given in a form.
//! * `layout`: what all pages have in common. `fields`: texts and forms that several pages share.
//! * `slots`, `now`, `arms`, `segments`, `series`, `history`, `rules`, `change`, `drafts`, `safe_choice`, `compare`, `decision`, `try_it`,
//!   `simulations`, `system`, `keys`, `help`: a page each. `latest` and `compare_result` are parts of pages.
//! * `live`: what changes in open pages. `reports`: the reports that they share.
//! * `actions`: the changes that pages make. `draft`, `arm_form` and `arm_draft`: those of controls and of arms, as their forms have them.
//! * `comparisons`: comparisons that run on while their page is looked at. `attributes`: features as lines of text.
//! * `draw`: the charts of these pages.
//!
//! Invariants:
//!
//! * A page can do nothing that the API cannot: changes are the API's own calls, with the visitor as their caller. Keys, which the API
//!   does not have, are changed by the functions of the command line.
//! * Every page works without a script. The script refreshes numbers and shows previews earlier, and no request leaves the host.
//! * Every text is escaped as it is written.
//! * A change comes from a page of this host, by the headers `Origin` and `Sec-Fetch-Site`. One layer checks it for all routes.
//!
//! Deliberately not here: what a figure says (`engine`), and running simulations.

mod actions;
mod arm_draft;
mod arm_form;
mod arms;
mod attributes;
mod change;
mod compare;
mod compare_result;
mod comparisons;
mod decision;
mod draft;
mod drafts;
mod draw;
mod fields;
mod help;
mod history;
mod keys;
mod latest;
mod layout;
mod live;
mod now;
mod reports;
mod rules;
mod safe_choice;
mod segments;
mod series;
mod session;
mod simulations;
mod slots;
mod system;
mod try_it;
mod visitor;

use std::{path::PathBuf, sync::Arc};

use axum::{
    Extension, Router,
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse as _,
    routing::{get, post},
};

use self::{
    comparisons::Comparisons,
    live::{FollowedPages, LivePages, LiveStreams},
    reports::Reports,
    rules::RuleCounts,
    session::Sessions,
};
use super::access::AccessControl;
use crate::{access::KeyStore, chart, config::Config, wire::Api};

/// Style of the console, after that of all charts.
const STYLE: &str = include_str!("console.css");
/// Script that refreshes numbers.
const SCRIPT: &str = include_str!("console.js");

/// Sign in the browser's tab: three bars, of which one leads.
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><path fill=\"#0072b2\" d=\"M1 2h14v3H1zM1 7h9v3H1zM1 12h5v3H1z\"/></svg>";

/// Policy of every page: nothing is loaded from elsewhere, and no other page may frame it.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Everything that the pages read and change.
#[derive(Debug)]
struct Console {
    api: Api,
    access: AccessControl,
    keys: KeyStore,
    sessions: Sessions,
    comparisons: Comparisons,
    rule_counts: RuleCounts,
    reports: Reports,
    live: Arc<LiveStreams>,
    followed: FollowedPages,
    /// Folder of the simulator's pages.
    simulations: Option<PathBuf>,
}

type SharedConsole = Arc<Console>;

/// Returns the pages of the console.
pub(super) fn routes(api: Api, access: AccessControl, keys: KeyStore, config: &Config) -> Router {
    // The others of the port's connections are for visits and calls.
    let streams = config.limits.http_connections() / 4 * 3;
    let console = Arc::new(Console {
        api,
        access,
        keys,
        sessions: Sessions::default(),
        comparisons: Comparisons::default(),
        rule_counts: RuleCounts::default(),
        reports: Reports::default(),
        live: Arc::new(LiveStreams::new(streams.max(1))),
        followed: FollowedPages::default(),
        simulations: config.simulations.clone(),
    });
    let pages = pages().with_state(Arc::clone(&console));
    let live = get(live::stream).layer(Extension(LivePages(pages.clone())));
    let router = Router::new().route("/live", live).with_state(console).merge(pages);
    router
        .route_layer(axum::middleware::from_fn(visitor::refuse_other_sites))
        .layer(axum::middleware::map_response(guard))
}

/// Returns the routes of all pages, and of the forms in them.
fn pages() -> Router<SharedConsole> {
    Router::new()
        .route("/", get(slots::page))
        .route("/new", get(slots::new_page).post(actions::create))
        .route("/sign-in", get(session::page).post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/slots/{slot}", get(now::page))
        .route("/slots/{slot}/arms", get(arms::page))
        .route("/slots/{slot}/arm", get(arm_form::page).post(arm_form::change))
        .route("/slots/{slot}/arm/remove", post(arm_form::remove))
        .route("/slots/{slot}/segments", get(segments::page))
        .route("/slots/{slot}/series", get(series::page))
        .route("/slots/{slot}/change", get(change::page).post(actions::apply))
        .route("/slots/{slot}/rules", get(rules::page).post(rules::change))
        .route("/slots/{slot}/rule", get(rules::rule_page).post(rules::apply_rule))
        .route("/slots/{slot}/compare", get(compare::page).post(compare::begin))
        .route("/slots/{slot}/compare/stop", post(compare::stop))
        .route("/drafts", get(drafts::page_of_all))
        .route("/slots/{slot}/drafts", get(drafts::page))
        .route("/slots/{slot}/drafts/{number}", get(drafts::draft_page).post(drafts::step))
        .route("/safe-choice", get(safe_choice::page).post(safe_choice::switch))
        .route("/help", get(help::list))
        .route("/help/{page}", get(help::page))
        .route("/slots/{slot}/history", get(history::page))
        .route("/slots/{slot}/try", get(try_it::page))
        .route("/slots/{slot}/availability", post(actions::availability))
        .route("/slots/{slot}/safe-choice", post(actions::safe_choice))
        .route("/slots/{slot}/rollback", post(actions::rollback))
        .route("/slots/{slot}/reset", post(actions::reset))
        .route("/slots/{slot}/delete", post(actions::delete))
        .route("/decisions", get(decision::page))
        .route("/simulations", get(simulations::page))
        .route("/simulations/{file}", get(simulations::file))
        .route("/system", get(system::page))
        .route("/keys", get(keys::page).post(keys::create))
        .route("/keys/revoke", post(keys::revoke))
        .route("/console.css", get(async || asset("text/css; charset=utf-8", format!("{}{STYLE}", chart::STYLE))))
        .route("/console.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT.to_owned())))
        .route("/icon.svg", get(async || asset("image/svg+xml", ICON.to_owned())))
}

/// Returns a page that says what is wrong with a request that no page took.
pub(super) async fn problem_page(code: StatusCode, message: &str) -> axum::response::Response {
    guard(visitor::problem(code, "This request is not taken", message)).await
}

/// Adds the headers that keep a page to itself.
async fn guard(mut response: axum::response::Response) -> axum::response::Response {
    let headers = response.headers_mut();
    // A page of the simulator has a policy of its own, which is stricter.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn asset(kind: &'static str, text: String) -> axum::response::Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=300")),
    ];
    (headers, text).into_response()
}
