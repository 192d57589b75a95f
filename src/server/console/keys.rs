//! Page "Keys": the keys of callers, for administrators. They are made and revoked by the functions of the command line.

use std::{collections::HashMap, fmt::Write as _};

use axum::{Form, extract::State};
use maud::{Markup, html};
use serde::Deserialize;

use super::{
    Console, SharedConsole,
    fields::{counted, time},
    layout::ConsolePage,
    visitor::{PageError, PageResult, Visitor},
};
use crate::{
    access::{AccessKey, AccessKeyStatus, KeyDraft, KeyFileError, NewKey, Role, SlotPattern},
    wire::forbidden,
};

const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// Roles of a kind of key, with a name for people.
struct KeyKind {
    name: &'static str,
    text: &'static str,
    roles: &'static [Role],
}

/// Kinds of keys that the page creates. Other sets of roles are made on the command line.
const KINDS: [KeyKind; 8] = [
    KeyKind { name: "viewer", text: "A viewer: sees slots and reports, and changes nothing", roles: &[Role::View] },
    KeyKind { name: "editor", text: "An editor: sees and changes slots", roles: &[Role::View, Role::Tune] },
    KeyKind {
        name: "approver",
        text: "An approver: sees slots and approves changes of others",
        roles: &[Role::View, Role::Approve],
    },
    KeyKind {
        name: "lead",
        text: "A lead: changes slots and approves changes of others",
        roles: &[Role::View, Role::Tune, Role::Approve],
    },
    KeyKind { name: "admin", text: "An administrator: may do everything", roles: &[Role::Admin] },
    KeyKind {
        name: "program",
        text: "A program: asks for decisions and reports events",
        roles: &[Role::Decide, Role::Record],
    },
    KeyKind {
        name: "page",
        text: "A web page: as a program, but everybody can read its key",
        roles: &[Role::Decide, Role::Record],
    },
    KeyKind {
        name: "simulator",
        text: "A simulator: on slots for simulated traffic",
        roles: &[Role::View, Role::Simulate],
    },
];

/// Form of a new key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyForm {
    name: String,
    kind: String,
    /// Patterns of slots, each on a line; empty means all.
    slots: String,
    /// Days until the key expires; empty means never.
    days: String,
    /// Origins of web pages, each on a line.
    origins: String,
    /// Calls per second; empty means no limit.
    calls: String,
}

/// Form that revokes a key.
#[derive(Debug, Deserialize)]
pub(super) struct RevokeForm {
    id: String,
}

impl KeyForm {
    /// Draft of the key that the form asks for.
    fn draft(&self, now_us: i64) -> Result<KeyDraft, String> {
        let kind = KINDS.iter().find(|kind| kind.name == self.kind).ok_or("Kind: choose one of the list")?;
        let lines = |text: &'_ str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let slots = lines(&self.slots).into_iter().map(|pattern| pattern.parse::<SlotPattern>());
        let slots = slots.collect::<Result<_, _>>().map_err(|why| format!("Slots: {why}"))?;
        let days: Option<i64> = match self.days.as_str() {
            "" => None,
            days => Some(
                days.parse().ok().filter(|days| (1..=3_650).contains(days)).ok_or("Expires: choose one of the list")?,
            ),
        };
        let calls_per_second = match self.calls.trim() {
            "" => None,
            calls => Some(calls.parse().map_err(|_| format!("Calls per second: '{calls}' is no whole number"))?),
        };
        let origins = lines(&self.origins);
        if (self.kind == "page") == origins.is_empty() {
            return Err("Web pages: a key for a web page names its origins, and no other key does".to_owned());
        }
        Ok(KeyDraft {
            name: self.name.trim().to_owned(),
            roles: kind.roles.iter().copied().collect(),
            slots,
            origins,
            calls_per_second,
            expires_us: days.map(|days| now_us + days * DAY_US),
        })
    }
}

/// Checks that the visitor may manage the keys of all slots.
fn check(visitor: &Visitor) -> Result<(), PageError> {
    visitor.check(Role::Admin)?;
    if visitor.reaches_all() {
        return Ok(());
    }
    let message = "keys are of all slots, and your own key reaches some of them only";
    Err(PageError::Refused(forbidden("SLOT_OUT_OF_REACH", message)))
}

fn is_active_admin(key: &AccessKey, now_us: i64) -> bool {
    key.status(now_us) == AccessKeyStatus::Active && key.roles.contains(&Role::Admin)
}

fn key_row(key: &AccessKey, now_us: i64, used_us: Option<i64>) -> Markup {
    let roles = key.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
    let mut slots = key.slots.iter().map(SlotPattern::as_str).collect::<Vec<_>>().join(", ");
    if !key.origins.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(slots, "; pages of {}", key.origins.join(", "));
    }
    let is_active = key.status(now_us) == AccessKeyStatus::Active;
    html! { tr {
        th.text scope="row" { (key.name) }
        td { (key.id) }
        td { (key.status(now_us).name()) }
        td.text { (roles) }
        td.text { (slots) }
        td { (key.expires_us.map_or_else(|| "never".to_owned(), time)) }
        td { (used_us.map_or_else(|| "not since the start".to_owned(), time)) }
        td.text { @if is_active {
            details {
                summary aria-label={ "Revoke " (key.name) } { "Revoke" }
                form.inline method="post" action="/keys/revoke" {
                    input type="hidden" name="id" value=(key.id);
                    button.danger type="submit" { "Revoke it for good" }
                }
            }
        } }
    } }
}

fn list(keys: &[AccessKey], now_us: i64, used: &HashMap<String, i64>) -> Markup {
    html! {
        h2 { (counted(keys.len() as u64, "key")) }
        div.scroll.wide tabindex="0" { table {
            caption { "Keys of callers" }
            thead { tr {
                th scope="col" { "name" } th scope="col" { "id" } th scope="col" { "status" } th.text scope="col" { "roles" }
                th.text scope="col" { "slots" } th scope="col" { "expires" } th scope="col" { "last use" } th.text scope="col" { "revoke" }
            } }
            tbody { @for key in keys { (key_row(key, now_us, used.get(&key.id).copied())) } }
        } }
        p.hint { "A key that is revoked is refused within a quarter of a second, and its sessions end." }
    }
}

fn create_form(form: &KeyForm, is_first: bool) -> Markup {
    html! {
        form.card method="post" action="/keys" {
            h2 { "New key" }
            @if is_first { p.banner role="status" { "From the first key on, every call and every visitor needs one. So the first is for an administrator." } }
            div.pair {
                label for="name" { "Name" }
                input #name type="text" name="name" required maxlength="100" value=(form.name) autocomplete="off" aria-describedby="name-hint";
                p.hint #name-hint { "It stands beside every change that the key makes." }
            }
            div.pair {
                label for="kind" { "For" }
                select #kind name="kind" {
                    @for kind in KINDS.iter().filter(|kind| !is_first || kind.name == "admin") {
                        option value=(kind.name) selected[form.kind == kind.name] { (kind.text) }
                    }
                }
            }
            div.pair {
                label for="days" { "Expires" }
                select #days name="days" {
                    @for (days, text) in [("", "never"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year")] {
                        option value=(days) selected[form.days == days] { (text) }
                    }
                }
            }
            @if !is_first {
                div.pair {
                    label for="slots" { "Slots, one on each line" }
                    textarea #slots name="slots" rows="2" placeholder="search-*" aria-describedby="slots-hint" { (form.slots) }
                    p.hint #slots-hint { "Ids, or patterns with *. Empty means all." }
                }
                div.pair {
                    label for="origins" { "Web pages, one origin on each line" }
                    textarea #origins name="origins" rows="2" placeholder="https://shop.example" aria-describedby="origins-hint" { (form.origins) }
                    p.hint #origins-hint { "Only for a key of a web page, which is taken from there alone." }
                }
                div.pair {
                    label for="calls" { "Calls per second" }
                    input #calls type="text" inputmode="numeric" name="calls" value=(form.calls) autocomplete="off" aria-describedby="calls-hint";
                    p.hint #calls-hint { "More are refused. Empty for no limit of its own." }
                }
            }
            button type="submit" { "Create the key" }
        }
    }
}

/// Key that was just created. It is shown this once.
fn created(NewKey { key, text }: &NewKey) -> Markup {
    html! {
        section.done role="status" {
            p { "The key " strong { (key.name) } " was created. Copy it now: it is not stored, and it is not shown again." }
            p { code.key { (text) } }
        }
    }
}

/// Content of the page besides the list.
#[derive(Default)]
struct KeysNotice {
    form: KeyForm,
    wrong: Option<String>,
    new: Option<NewKey>,
}

fn show(console: &Console, visitor: &Visitor, KeysNotice { form, wrong, new }: KeysNotice) -> PageResult {
    let now_us = console.now_us()?;
    let (keys, wrong) = match console.keys.read() {
        Ok(keys) => (keys.unwrap_or_default(), wrong),
        Err(why) => (Vec::new(), Some(why.to_string())),
    };
    // Keys of the first one on: also those that are revoked, and tokens.
    let is_first = keys.is_empty() && !console.access.is_required();
    let content = html! {
        @if let Some(wrong) = &wrong { p.problem role="alert" { (wrong) } }
        @if let Some(new) = &new { (created(new)) }
        @if keys.is_empty() {
            p.sentence { "There is no key." }
            p { @if is_first { "Everybody who reaches this port can see and change everything." } @else { "Callers present tokens of an identity provider." } }
        } @else { (list(&keys, now_us, &console.access.last_uses())) }
        div.columns { (create_form(&form, is_first)) }
    };
    Ok(ConsolePage::new("Keys")
        .visitor(visitor)
        .same_by("slotwise keys list, slotwise keys create --name NAME --role ROLE, slotwise keys revoke KEY")
        .show(&content))
}

/// Page "Keys".
pub(super) async fn page(State(console): State<SharedConsole>, visitor: Visitor) -> PageResult {
    check(&visitor)?;
    show(&console, &visitor, KeysNotice::default())
}

fn name_of(visitor: &Visitor) -> &str {
    visitor.name().unwrap_or("a visitor without a key")
}

/// Creates a key, and shows it.
pub(super) async fn create(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Form(form): Form<KeyForm>,
) -> PageResult {
    check(&visitor)?;
    let now_us = console.now_us()?;
    let is_first = !console.access.is_required();
    let made = if is_first && form.kind != "admin" {
        Err("The first key is for an administrator: without one, nobody could create another here.".to_owned())
    } else {
        form.draft(now_us).and_then(|draft| console.keys.create(draft, now_us).map_err(|why| why.to_string()))
    };
    match made {
        Ok(new) => {
            tracing::info!(by = name_of(&visitor), id = new.key.id, name = new.key.name, "an access key was created");
            show(&console, &visitor, KeysNotice { new: Some(new), ..KeysNotice::default() })
        }
        Err(why) => show(&console, &visitor, KeysNotice { form, wrong: Some(why), new: None }),
    }
}

/// Revokes a key.
pub(super) async fn revoke(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    Form(RevokeForm { id }): Form<RevokeForm>,
) -> PageResult {
    check(&visitor)?;
    let now_us = console.now_us()?;
    let wrong = match revoke_key(&console, &id, now_us) {
        Ok(key) => {
            tracing::info!(by = name_of(&visitor), id = key.id, name = key.name, "an access key was revoked");
            None
        }
        Err(why) => Some(why.to_string()),
    };
    show(&console, &visitor, KeysNotice { wrong, ..KeysNotice::default() })
}

/// Revokes a key, unless nobody could create another one afterwards.
fn revoke_key(console: &Console, id: &str, now_us: i64) -> Result<AccessKey, KeyFileError> {
    let keys = console.keys.read()?.unwrap_or_default();
    let mut admins = keys.iter().filter(|key| is_active_admin(key, now_us));
    if let (Some(last), None) = (admins.next(), admins.next())
        && last.id == id
    {
        let message = format!(
            "'{}' is the last key of an administrator; create another one first, or revoke it with `slotwise keys revoke`",
            last.name
        );
        return Err(KeyFileError::Refused(message));
    }
    console.keys.revoke(id, now_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(kind: &str) -> KeyForm {
        KeyForm { name: " anna ".into(), kind: kind.into(), ..KeyForm::default() }
    }

    #[test]
    fn a_form_asks_for_a_key_of_its_kind() {
        let editor =
            KeyForm { slots: "search-*\n\n offers".into(), days: "90".into(), calls: "5".into(), ..form("editor") };
        let draft = editor.draft(1_000).unwrap();
        assert_eq!((draft.name.as_str(), draft.calls_per_second), ("anna", Some(5)));
        assert_eq!(draft.roles, [Role::View, Role::Tune].into());
        assert_eq!(draft.slots.iter().map(SlotPattern::as_str).collect::<Vec<_>>(), ["search-*", "offers"]);
        assert_eq!(draft.expires_us, Some(1_000 + 90 * DAY_US));
        let page = KeyForm { origins: "https://shop.example".into(), ..form("page") };
        assert_eq!(page.draft(0).unwrap().origins, ["https://shop.example"]);
        for (wrong, words) in [
            (form("king"), "Kind"),
            (form("page"), "Web pages"),
            (KeyForm { origins: "https://shop.example".into(), ..form("viewer") }, "Web pages"),
            (KeyForm { calls: "many".into(), ..form("viewer") }, "Calls per second"),
            (KeyForm { days: "0".into(), ..form("viewer") }, "Expires"),
            (KeyForm { slots: "a b".into(), ..form("viewer") }, "Slots"),
        ] {
            let why = wrong.draft(0).unwrap_err();
            assert!(why.starts_with(words), "{why}");
        }
    }
}
