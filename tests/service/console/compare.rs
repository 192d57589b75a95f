//! The page "Compare".

use slotwise::wire::proto::{Controls, Goal, Slot};

use super::{Browser, current};
use crate::support::{Clients, click, decide, slot, started};

/// Decides, and waits until the rewards of what was decided are known.
async fn known_decisions(clients: &mut Clients, slot: &str, count: u32) {
    for i in 0..count {
        let decision = clients.decide(decide(slot)).await.unwrap();
        let rate = if decision.arms[0].arm_id == "a" { 2 } else { 5 };
        if i % rate == 0 {
            clients.reward(click(&format!("{slot}-{i}"), &decision)).await.unwrap();
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    clients.decide(decide(slot)).await.unwrap();
}

/// Slot whose rewards are known after a second, and whose arms are shown half of the time each.
fn quick_slot() -> Slot {
    let made = slot("offers", &["a", "b"]);
    let window = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let controls = Controls { holdout: Some(0.0), floor: Some(0.5), ..Controls::default() };
    let goal = Goal { window, ..made.goal.clone().unwrap() };
    Slot { goal: Some(goal), controls: Some(controls), ..made }
}

/// Shows the result of a comparison, however long it takes.
async fn result(browser: &Browser, path: &str) -> String {
    for _ in 0..200 {
        let page = browser.get(path).await.page;
        if !page.contains("Reading the journal") {
            return page;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} shows no result");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_compared_on_the_slots_own_decisions() {
    let (_folder, server, mut clients) = started().await;
    clients.create(quick_slot()).await.unwrap();
    let browser = Browser::new(&server);
    let first = browser.get("/slots/offers/compare").await.page;
    assert!(first.contains("Choose policies and compare") && first.contains("Each arm for everybody"), "{first}");

    // Without a decision.
    let all = [("days", "7"), ("best", "on"), ("even", "on"), ("each", "on")];
    let begun = browser.post("/slots/offers/compare", &all).await;
    assert_eq!(begun.status, 303, "{}", begun.page);
    let empty = result(&browser, begun.location()).await;
    assert!(empty.contains("None of the decisions of this period can be used yet"), "{empty}");

    known_decisions(&mut clients, "offers", 500).await;
    let draft = [&all[..], &[("draft", "on"), ("exploration", "2"), ("floor", "40")]].concat();
    let begun = browser.post("/slots/offers/compare", &draft).await;
    let page = result(&browser, begun.location()).await;
    for words in [
        "As it was decided",
        "Draft",
        "Best guess only",
        "Every arm equally often",
        "Always ‘a’",
        "would have earned more",
        "id=\"policies-title\"",
        "rests on",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("data-live"), "a result stays as it is");
    // The draft goes on to the page that applies it, and an arm to a rule.
    assert!(page.contains("/slots/offers/change?preview=1&amp;revision=1&amp;exploration=2&amp;floor=40"), "{page}");
    assert!(page.contains("/slots/offers/rule?effect=pin&amp;position=1&amp;when=arm.id+%3D%3D+%22a%22"), "{page}");
    let change =
        "/slots/offers/change?preview=1&revision=1&exploration=2&floor=40&holdout=0&half_life=&mode=on&freeze=";
    let previewed = browser.get(change).await.page;
    assert!(previewed.contains("Compare its exploration and floor"), "{previewed}");
    assert_eq!(current(&mut clients, "offers").await.revision, 1, "nothing was changed");

    // An address outlives its result.
    let older = begun.location().replace("run=", "run=x");
    assert!(browser.get(&older).await.page.contains("no longer kept"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_decisions_cannot_tell_is_said_in_words_and_so_is_what_cannot_be_asked() {
    let (_folder, server, mut clients) = started().await;
    clients.create(quick_slot()).await.unwrap();
    known_decisions(&mut clients, "offers", 40).await;
    let browser = Browser::new(&server);
    let begun = browser.post("/slots/offers/compare", &[("days", "7"), ("even", "on")]).await;
    let page = result(&browser, begun.location()).await;
    assert!(page.contains("These decisions cannot tell what the other policies would have earned"), "{page}");
    assert!(page.contains("hardly ever showed what it would show"), "{page}");

    for (form, words) in [
        (&[("days", "7")][..], "Tick at least one policy"),
        (&[("days", "soon"), ("even", "on")], "Period: choose one of the list"),
        (&[("days", "7"), ("draft", "on"), ("floor", "50"), ("exploration", "")], "it is what the slot does already"),
        (&[("days", "7"), ("draft", "on"), ("floor", "120"), ("exploration", "")], "Floor: must be from 0 to 100 %"),
        (&[("days", "7"), ("draft", "on"), ("floor", "some"), ("exploration", "")], "is no number"),
    ] {
        let refused = browser.post("/slots/offers/compare", form).await;
        assert!(refused.status == 200 && refused.page.contains(words), "{words}: {}", refused.page);
    }
    assert_eq!(browser.post("/slots/nowhere/compare", &[("days", "7"), ("even", "on")]).await.status, 404);
    // Stopping what has ended, or never was, does no harm, and leads nowhere else.
    for (back, leads_to) in
        [("/slots/offers/compare?days=7", "/slots/offers/compare?days=7"), ("//evil.example", "/slots/offers/compare")]
    {
        let stopped = browser.post("/slots/offers/compare/stop", &[("run", "x"), ("back", back)]).await;
        assert_eq!((stopped.status, stopped.location()), (303, leads_to));
    }
    server.stop().await;
}
