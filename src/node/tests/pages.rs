//! Pages: several slots for one shopper in one call.

use super::{forgetting::buy_shoes, *};
use crate::{bandit::Value, node::shoppers::CallShopper};

/// A page that has begun is decided by the profile with which it began, and the next page by the one of its own time.
#[tokio::test(flavor = "multi_thread")]
async fn every_slot_of_a_page_sees_the_same_profile() {
    let world = TestNode::new();
    let node = world.open();
    create(&node).await;
    let who = Subject { id: "ann".into(), session_id: "visit".into() };
    let view = node.slot(&slot_id()).unwrap();
    let kind = |shopper: &mut CallShopper, who: &Subject| {
        let mut asked = Request { subject: who.clone(), ..request(None) };
        let now_us = node.now_us();
        node.use_pseudonym(&mut asked, view.definition.default_consent, now_us, shopper);
        node.add_profile_features(&mut asked, &view, now_us, shopper);
        (asked.subject, asked.context.get("customer.kind").cloned())
    };
    let buyer = Some(Value::Text("buyer".into()));
    let mut before = CallShopper::default();
    assert_eq!(kind(&mut before, &who).1, None, "nothing is known yet");
    buy_shoes(&node, "e1", who.clone()).await;
    let mut page = CallShopper::default();
    let (pseudonym, first) = kind(&mut page, &who);
    assert_eq!(first, buyer);
    assert_ne!(pseudonym, who);

    node.forget_subject(&who, ChangeReason::default()).await.unwrap();
    assert_eq!(kind(&mut page, &who), (pseudonym.clone(), buyer), "the page has begun");
    let (stranger, after) = kind(&mut CallShopper::default(), &who);
    assert_eq!(after, None);
    assert_ne!(stranger, pseudonym);
    // A request of the page that names somebody else has nothing of this shopper.
    assert_eq!(kind(&mut page, &Subject { id: "bob".into(), session_id: String::new() }).1, None);
    assert_eq!(kind(&mut page, &who), (stranger, None), "and this one was looked up once more");
    node.shutdown();
}
