//! Layout of all pages: head, navigation, and what the page itself shows.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Console, visitor::Visitor};
use crate::access::Role;

/// Pages of a slot, by path and name.
const SLOT_PAGES: [(&str, &str); 10] = [
    ("", "Now"),
    ("arms", "Arms"),
    ("segments", "For whom"),
    ("series", "Over time"),
    ("change", "Change"),
    ("drafts", "Drafts"),
    ("rules", "Rules"),
    ("compare", "Compare"),
    ("try", "Try it"),
    ("history", "History"),
];

/// Place of the content in a page whose content comes later. No text of a page can hold it, because texts are escaped.
const CONTENT: &str = "<!--content-->";

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
        (code, Html(self.render(content))).into_response()
    }

    /// Shows the page once its content is there. Unless that is `quick`, the browser gets the head and the navigation at once.
    pub(super) async fn show_made(
        self,
        console: &Console,
        quick: bool,
        content: impl Future<Output = Markup> + Send + 'static,
    ) -> Response {
        if quick {
            return self.show(&content.await);
        }
        let whole = self.render(&PreEscaped(CONTENT.to_owned()));
        let (head, tail) = whole.split_once(CONTENT).unwrap_or((&whole, ""));
        let (parts, body) = mpsc::channel(2);
        let (head, tail) = (head.to_owned(), tail.to_owned());
        console.api.spawn(async move {
            // The browser may be gone. The report is made all the same, because it is kept.
            let _ = parts.send(Ok::<_, Infallible>(head)).await;
            let rest = content.await.into_string() + &tail;
            let _ = parts.send(Ok(rest)).await;
        });
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
        (kind, Body::from_stream(ReceiverStream::new(body))).into_response()
    }

    fn render(self, content: &Markup) -> String {
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
                                a href="/drafts" { "Drafts" }
                                a href="/decisions" { "Decision" }
                                a href="/simulations" { "Simulations" }
                                a href="/system" { "System" }
                                @if visitor.may(Role::Admin) { a href="/keys" { "Keys" } }
                                a href="/help" { "Help" }
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
        page.into_string()
    }
}
