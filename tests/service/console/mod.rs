//! The console, as a browser without a script uses it: pages, forms, sessions.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

mod arms;
mod compare;
mod decisions;
mod drafts;
mod errors;
mod keys;
mod live;
mod rules;
mod safe_choice;
mod sessions;
mod simulations;

use slotwise::wire::proto::{GetSlotRequest, ListRevisionsRequest, Slot};

use self::sessions::{create, sign_in_exactly};
use crate::support::{
    Clients, InProcessServer, click, context, decide, exchange, number, slot, started, text, unchunked,
};

/// Browser with one cookie.
struct Browser {
    http: String,
    cookie: String,
}

/// Answer to a browser.
#[derive(Debug)]
struct ShownPage {
    status: u16,
    headers: String,
    page: String,
}

impl ShownPage {
    fn location(&self) -> &str {
        let line = self.headers.lines().find(|line| line.starts_with("location: "));
        line.map(|line| &line["location: ".len()..]).unwrap_or_default()
    }
}

impl Browser {
    fn new(server: &InProcessServer) -> Self {
        Self { http: server.http.clone(), cookie: String::new() }
    }

    async fn send(&self, head: &str, body: &str) -> ShownPage {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("\r\ncookie: {}", self.cookie) };
        let (headers, body) = exchange(&self.http, &format!("{head}{cookie}"), body.as_bytes()).await;
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if headers.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
        ShownPage { status, headers, page: String::from_utf8(body).unwrap().replace('\u{a0}', " ") }
    }

    async fn get(&self, path: &str) -> ShownPage {
        self.send(&format!("GET {path} HTTP/1.1"), "").await
    }

    /// Sends a form as a page of the console does.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> ShownPage {
        self.post_from("\r\nsec-fetch-site: same-origin", path, form).await
    }

    async fn post_from(&self, from: &str, path: &str, form: &[(&str, &str)]) -> ShownPage {
        let body = serde_urlencoded(form);
        let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded{from}");
        self.send(&head, &body).await
    }

    /// Signs in, and keeps the cookie.
    async fn sign_in(&mut self, key: &str) -> ShownPage {
        let shown = self.post("/sign-in", &[("key", key), ("next", "/system")]).await;
        if let Some(line) = shown.headers.lines().find(|line| line.starts_with("set-cookie: ")) {
            line["set-cookie: ".len()..].split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        shown
    }
}

/// Encodes a form. Only the characters of these tests are escaped.
fn serde_urlencoded(form: &[(&str, &str)]) -> String {
    let escape_byte = |byte: u8| match byte {
        plain if plain.is_ascii_alphanumeric() || b"-._".contains(&plain) => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    };
    let escape = |text: &str| text.bytes().map(escape_byte).collect::<String>();
    form.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// Paths of all pages of a slot.
fn slot_pages(slot: &str) -> Vec<String> {
    let pages = "|/arms|/segments|/series|/series?step=five_minutes|/change|/rules|/compare|/try|/drafts|/history|/arm|/rule|/rule?effect=pin";
    pages.split('|').map(|page| format!("/slots/{slot}{page}")).collect()
}

/// Makes decisions of shoppers with phones and with desktops, some of which click.
async fn traffic(clients: &mut Clients, slot: &str, count: u32) -> String {
    let mut last = String::new();
    for i in 0..count {
        let mut request = decide(slot);
        let device = if i % 2 == 0 { "phone" } else { "desktop" };
        request.context = context(&[("device", text(device)), ("basket", number(f64::from(i)))]);
        let decided = clients.decide(request).await.unwrap();
        if i % 3 == 0 {
            clients.reward(click(&format!("{slot}-{i}"), &decided)).await.unwrap();
        }
        last = decided.decision_id;
    }
    last
}

async fn current(clients: &mut Clients, slot: &str) -> Slot {
    clients.slots.get_slot(GetSlotRequest { slot_id: slot.into() }).await.unwrap().into_inner().slot.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_shown_empty_and_with_traffic() {
    let (_folder, server, mut clients) = started().await;
    let browser = Browser::new(&server);
    let empty = browser.get("/").await;
    assert!(empty.status == 200 && empty.page.contains("No slot yet"), "{empty:?}");
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    for path in slot_pages("offers") {
        let shown = browser.get(&path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.page);
    }
    assert!(browser.get("/slots/offers").await.page.contains("Waiting for the first decision"));
    let decision = traffic(&mut clients, "offers", 60).await;
    let mut pages = slot_pages("offers");
    let others = "/|/system|/new|/keys|/simulations|/drafts|/drafts?ended=on|/safe-choice|/help|/help/glossary|/slots/offers/try?context=device+%3D+phone";
    pages.extend(others.split('|').map(str::to_owned));
    pages.extend([format!("/decisions?id={decision}"), "/slots/offers/arm?id=a".into()]);
    for path in &pages {
        let shown = browser.get(path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.page);
        for header in [
            "content-security-policy: default-src 'self'",
            "x-content-type-options: nosniff",
            "referrer-policy: same-origin",
            "x-frame-options: deny",
        ] {
            assert!(shown.headers.contains(header), "{path} has no {header}");
        }
        // Pages load from and link to this host only, without inline styles and handlers.
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for part in shown.page.split(attribute).skip(1) {
                assert!(part.starts_with(['/', '#']), "{path}: {attribute}{}", &part[..40]);
            }
        }
        assert!(!shown.page.contains(" style=\"") && !shown.page.contains(" onclick"), "{path}");
        assert!(shown.page.contains("<html lang=\"en\">") && shown.page.contains("<h1>"), "{path}");
    }
    let segments = browser.get("/slots/offers/segments").await.page;
    assert!(segments.contains("device") && segments.contains("phone"), "{segments}");
    let explained = browser.get(&format!("/decisions?id={decision}")).await.page;
    assert!(explained.contains("offers") && explained.contains("basket"), "{explained}");
    let tried = browser.get("/slots/offers/try?context=device+%3D+phone").await.page;
    assert!(tried.contains("All arms at the first position"), "{tried}");
    assert!(browser.get("/slots/offers/try?context=nonsense").await.page.contains("has no name and value"));
    for (path, status) in [("/slots/nowhere", 404), ("/decisions?id=nonsense", 400), ("/slots/offers/nothing", 404)] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
    let report = browser.get("/slots/offers").await.page;
    assert!(report.contains("<dd>60</dd>"), "{report}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_made_steered_and_set_back_with_forms_alone() {
    let (_folder, server, mut clients) = started().await;
    let browser = Browser::new(&server);
    let new = [("slot", "home"), ("template", "offer"), ("arms", "red\nblue\n\n green"), ("reason", "a start")];
    let made = browser.post("/new", &new).await;
    assert_eq!((made.status, made.location()), (303, "/slots/home"), "{made:?}");
    assert_eq!(clients.arms("home").await.len(), 3);
    let again = browser.post("/new", &new).await;
    assert!(again.status == 200 && again.page.contains("already") && again.page.contains("blue"), "{}", again.page);
    traffic(&mut clients, "home", 40).await;

    // Preview: nothing changes, and the address holds the draft.
    let revision = current(&mut clients, "home").await.revision.to_string();
    let draft = format!("revision={revision}&exploration=0&floor=5&holdout=&half_life=&mode=on&preview=1");
    let preview = browser.get(&format!("/slots/home/change?{draft}")).await.page;
    for words in ["What it would have done", "controls.floor", "controls.exploration", "Apply it"] {
        assert!(preview.contains(words), "{words}: {preview}");
    }
    assert_eq!(current(&mut clients, "home").await.revision.to_string(), revision);

    let form = [
        ("revision", revision.as_str()),
        ("exploration", "0"),
        ("floor", "5"),
        ("holdout", ""),
        ("half_life", ""),
        ("mode", "on"),
        ("reason", "less exploring"),
    ];
    let applied = browser.post("/slots/home/change", &form).await;
    assert_eq!((applied.status, applied.location()), (303, "/slots/home/history"), "{}", applied.page);
    let controls = current(&mut clients, "home").await.controls.unwrap();
    assert_eq!((controls.floor, controls.exploration), (Some(0.05), Some(0.0)));

    // Another editor with the same, older page does not overwrite it silently.
    let mut stale = form;
    (stale[1], stale[2]) = (("exploration", "2"), ("floor", ""));
    let refused = browser.post("/slots/home/change", &stale).await;
    assert!(refused.status == 200 && refused.page.contains("changed it last"), "{}", refused.page);
    assert_eq!(current(&mut clients, "home").await.controls.unwrap().exploration, Some(0.0));

    // Undo, from the history.
    let history = browser.get("/slots/home/history").await.page;
    assert!(history.contains("less exploring") && history.contains("Undo the last change"), "{history}");
    let undone = browser.post("/slots/home/rollback", &[("revision", &revision), ("reason", "no")]).await;
    assert_eq!(undone.status, 303, "{}", undone.page);
    assert_eq!(current(&mut clients, "home").await.controls.unwrap().exploration, None);

    // Pause an arm, and the safe choice.
    let pause = [("arm", "red"), ("available", "false"), ("reason", "sold out")];
    assert_eq!(browser.post("/slots/home/availability", &pause).await.status, 303);
    let arms = clients.arms("home").await;
    assert_eq!(arms.iter().find(|arm| arm.arm_id == "red").unwrap().available, Some(false));
    assert!(browser.get("/slots/home").await.page.contains("red (off)"));
    assert_eq!(browser.post("/slots/home/safe-choice", &[("on", "true"), ("reason", "alarm")]).await.status, 303);
    assert!(browser.get("/").await.page.contains("The safe choice is on in 1 slot"));
    let request = ListRevisionsRequest { slot_id: "home".into(), ..Default::default() };
    let revisions = clients.slots.list_revisions(request).await.unwrap().into_inner().revisions;
    assert_eq!(revisions[0].reason, "alarm");
    assert!(revisions[0].actor.as_ref().unwrap().origin.starts_with("127.0.0.1:"));

    // Reset and delete cannot be undone, so they ask for the id.
    for action in ["reset", "delete"] {
        let path = format!("/slots/home/{action}");
        let refused = browser.post(&path, &[("confirm", "hom"), ("reason", "x")]).await;
        assert!(refused.status == 400 && refused.page.contains("to confirm"), "{action}: {}", refused.page);
    }
    assert_eq!(browser.post("/slots/home/reset", &[("confirm", "home"), ("reason", "x")]).await.status, 303);
    assert!(browser.get("/slots/home").await.page.contains("Waiting for the first decision"));
    assert_eq!(browser.post("/slots/home/delete", &[("confirm", "home"), ("reason", "x")]).await.location(), "/");
    assert_eq!(browser.get("/slots/home").await.status, 404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_changes_nothing() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let browser = Browser::new(&server);
    let form = [("on", "true"), ("reason", "x")];
    for from in [
        "",
        "\r\norigin: https://evil.example",
        "\r\norigin: null",
        "\r\norigin: https://evil.example\r\nsec-fetch-site: cross-site",
        "\r\nsec-fetch-site: same-site",
    ] {
        for path in ["/new", "/sign-in", "/sign-out", "/keys", "/keys/revoke", "/safe-choice"] {
            assert_eq!(browser.post_from(from, path, &form).await.status, 403, "{path}{from}");
        }
        let pages = "change availability safe-choice rollback reset delete rules rule arm arm/remove compare compare/stop drafts/1";
        for page in pages.split(' ') {
            let refused = browser.post_from(from, &format!("/slots/offers/{page}"), &form).await;
            assert_eq!(refused.status, 403, "{page}{from}: {}", refused.page);
        }
    }
    assert!(!current(&mut clients, "offers").await.controls.unwrap().safe_choice.unwrap_or(false));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_from_outside_are_never_markup() {
    let (_folder, server, mut clients) = started().await;
    let nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let mut made = slot("offers", &[nasty, "b"]);
    made.display_name = nasty.into();
    clients.create(made).await.unwrap();
    let mut last = String::new();
    for _ in 0..40 {
        let mut request = decide("offers");
        request.context = context(&[("device", text(nasty))]);
        last = clients.decide(request).await.unwrap().decision_id;
    }
    let browser = Browser::new(&server);
    let pause = [("arm", nasty), ("available", "false"), ("reason", nasty)];
    assert_eq!(browser.post("/slots/offers/availability", &pause).await.status, 303);
    let mut pages = slot_pages("offers");
    pages.extend([
        "/".into(),
        format!("/decisions?id={last}"),
        format!("/?find={}", serde_urlencoded(&[("x", nasty)])),
    ]);
    pages.push(format!("/slots/offers/try?{}", serde_urlencoded(&[("context", nasty)])));
    let mut seen = 0;
    for path in &pages {
        let shown = browser.get(path).await;
        assert!(!shown.page.contains("<script>alert") && !shown.page.contains("<img"), "{path}: {}", shown.page);
        seen += usize::from(shown.page.contains("&lt;script&gt;alert(1)"));
    }
    assert!(seen >= 6, "the text stands on {seen} pages");
    server.stop().await;
}

/// Many slots and many arms neither slow a page down nor make it endless.
#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let (_folder, server, mut clients) = started().await;
    let ids: Vec<String> = (0..500).map(|i| format!("arm-{i:04}")).collect();
    clients.create(slot("many-arms", &ids.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
    for i in 0..60 {
        clients.create(slot(&format!("slot-{i:02}"), &["a", "b"])).await.unwrap();
    }
    let browser = Browser::new(&server);
    let first = browser.get("/").await.page;
    assert_eq!(first.matches("<li class=\"card\">").count(), 50);
    assert!(first.contains("More slots"));
    let second = browser.get("/?find=&from=50").await.page;
    assert_eq!(second.matches("<li class=\"card\">").count(), 11);
    let found = browser.get("/?find=slot-1").await.page;
    assert_eq!(found.matches("<li class=\"card\">").count(), 10);
    let arms = browser.get("/slots/many-arms/arms").await.page;
    assert!(arms.contains("More arms") && !arms.contains("arm-0300"));
    assert!(browser.get("/slots/many-arms/arms?from=200").await.page.contains("arm-0300"));
    server.stop().await;
}
