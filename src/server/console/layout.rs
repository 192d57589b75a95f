//! Layout of all pages: head, navigation, and what the page itself shows.

use axum::{
    http::StatusCode,
    response::{Html, IntoResponse as _, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::visitor::Visitor;
use crate::access::Role;

/// Pages of a slot, by path and name.
const SLOT_PAGES: [(&str, &str); 9] = [
    ("", "Now"),
    ("arms", "Arms"),
    ("segments", "For whom"),
    ("series", "Over time"),
    ("change", "Change"),
    ("rules", "Rules"),
    ("compare", "Compare"),
    ("try", "Try it"),
    ("history", "History"),
];

/// Page that is about to be shown.
#[derive(Debug)]
pub(super) struct ConsolePage<'a> {
    title: &'a str,
    visitor: Option<&'a Visitor>,
    /// Slot of the page, and its part of the path.
    slot: Option<(&'a str, &'static str)>,
    /// Commands and calls that give the same.
    same_by: Vec<String>,
}

/// Returns the path of a slot's page. Ids of slots have no character that a path would have to escape.
pub(super) fn slot_path(slot: &str, page: &str) -> String {
    if page.is_empty() { format!("/slots/{slot}") } else { format!("/slots/{slot}/{page}") }
}

impl<'a> ConsolePage<'a> {
    pub(super) fn new(title: &'a str) -> Self {
        Self { title, visitor: None, slot: None, same_by: Vec::new() }
    }

    /// Names the visitor, who can sign out.
    pub(super) fn visitor(self, visitor: &'a Visitor) -> Self {
        Self { visitor: Some(visitor), ..self }
    }

    /// Shows the navigation of a slot.
    pub(super) fn slot(self, slot: &'a str, page: &'static str) -> Self {
        Self { slot: Some((slot, page)), ..self }
    }

    /// Says how a program gets the same.
    pub(super) fn same_by(mut self, command: impl Into<String>) -> Self {
        self.same_by.push(command.into());
        self
    }

    pub(super) fn show(self, content: &Markup) -> Response {
        self.show_with(StatusCode::OK, content)
    }

    pub(super) fn show_with(self, code: StatusCode, content: &Markup) -> Response {
        let Self { title, visitor, slot, same_by } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " – Slotwise" }
                    link rel="stylesheet" href="/console.css";
                    link rel="icon" type="image/svg+xml" href="/icon.svg";
                    script type="module" src="/console.js" {}
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top {
                        nav aria-label="Main" {
                            a.brand href="/" { "Slotwise" }
                            @if let Some(visitor) = visitor {
                                a href="/" { "Slots" }
                                a href="/decisions" { "Decision" }
                                a href="/simulations" { "Simulations" }
                                a href="/system" { "System" }
                                @if visitor.may(Role::Admin) { a href="/keys" { "Keys" } }
                            }
                        }
                        @match visitor.map(Visitor::name) {
                            Some(Some(name)) => {
                                form.inline method="post" action="/sign-out" {
                                    span { (name) }
                                    button.quiet type="submit" { "Sign out" }
                                }
                            }
                            Some(None) => {
                                p.banner {
                                    "No keys: everybody who reaches this port can change everything. "
                                    a href="/keys" { "Create the first key" } "."
                                }
                            }
                            None => {}
                        }
                    }
                    main #content {
                        h1 { (title) }
                        @if let Some((slot, page)) = slot {
                            nav.tabs aria-label="Slot" {
                                @for (path, name) in SLOT_PAGES {
                                    a href=(slot_path(slot, path)) aria-current=[(path == page).then_some("page")] { (name) }
                                }
                            }
                        }
                        (content)
                        @if !same_by.is_empty() {
                            aside.same aria-label="The same by other means" {
                                span { "The same by command line or API:" }
                                @for command in &same_by { code { (command) } }
                            }
                        }
                    }
                }
            }
        };
        (code, Html(page.into_string())).into_response()
    }
}
