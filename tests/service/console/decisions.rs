//! Last decisions: the call `ListDecisions`, and the list on the page "Now".

use slotwise::{
    access::Role,
    wire::proto::{DecideResponse, ListDecisionsRequest, ListDecisionsResponse, ResetSlotRequest, Subject},
};
use tonic::{Code, Status};

use super::{Browser, create, sign_in_exactly};
use crate::support::{Clients, InProcessServer, context, decide, slot, started, text};

async fn decided(clients: &mut Clients, slot: &str, count: u32) -> Vec<DecideResponse> {
    let mut all = Vec::new();
    for i in 0..count {
        let mut request = decide(slot);
        request.subject = Some(Subject { id: format!("shopper-{i}"), session_id: String::new() });
        request.context = context(&[("device", text("phone"))]);
        all.push(clients.decide(request).await.unwrap());
    }
    all
}

async fn listed(clients: &mut Clients, slot: &str, count: u32) -> Result<ListDecisionsResponse, Status> {
    let request = ListDecisionsRequest { slot_id: slot.into(), count };
    Ok(clients.insight.list_decisions(request).await?.into_inner())
}

fn ids(listed: &ListDecisionsResponse) -> Vec<&str> {
    listed.decisions.iter().map(|recent| recent.decision.as_ref().unwrap().decision_id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_decisions_of_a_slot_are_listed_newest_first() {
    let (folder, server, mut clients) = started().await;
    for id in ["offers", "others"] {
        clients.create(slot(id, &["a", "b"])).await.unwrap();
    }
    assert_eq!(listed(&mut clients, "offers", 0).await.unwrap(), ListDecisionsResponse::default());
    let first = decided(&mut clients, "offers", 30).await;
    decided(&mut clients, "others", 5).await;
    let newest = |all: &[DecideResponse], count: usize| -> Vec<String> {
        all.iter().rev().take(count).map(|decision| decision.decision_id.clone()).collect()
    };
    assert_eq!(ids(&listed(&mut clients, "offers", 0).await.unwrap()), newest(&first, 20), "20 by default");
    // The next look finds the decisions that came since, and keeps those that were found before.
    let mut all = first;
    all.extend(decided(&mut clients, "offers", 3).await);
    let of_33 = listed(&mut clients, "offers", 100).await.unwrap();
    assert_eq!(ids(&of_33), newest(&all, 33));
    let last = &of_33.decisions[0];
    assert_eq!(last.subject.as_ref().unwrap().id, "shopper-2");
    assert!(last.context.contains_key("device") && last.time.is_some(), "{last:?}");
    let answer = last.decision.as_ref().unwrap();
    assert_eq!(answer.arms[0].arm_id, all.last().unwrap().arms[0].arm_id);

    for (slot, count, code) in [("offers", 101, Code::InvalidArgument), ("nowhere", 0, Code::NotFound)] {
        assert_eq!(listed(&mut clients, slot, count).await.unwrap_err().code(), code, "{slot}");
    }
    // A start forgets what was read, and reads it again.
    server.stop().await;
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    assert_eq!(ids(&listed(&mut clients, "offers", 100).await.unwrap()), newest(&all, 33));
    let reset = ResetSlotRequest { slot_id: "offers".into(), ..ResetSlotRequest::default() };
    clients.slots.reset_slot(reset).await.unwrap();
    let after = decided(&mut clients, "offers", 2).await;
    assert_eq!(ids(&listed(&mut clients, "offers", 0).await.unwrap()), newest(&after, 2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_the_last_decisions_and_not_who_the_shoppers_are() {
    let folder = tempfile::tempdir().unwrap();
    let last = {
        let server = InProcessServer::start(folder.path()).await;
        let mut clients = server.clients().await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        let last = decided(&mut clients, "offers", 3).await.pop().unwrap().decision_id;
        let open = Browser::new(&server).get("/slots/offers").await.page;
        assert!(open.contains("Last decisions") && open.contains("shopper-2"), "{open}");
        server.stop().await;
        last
    };
    let viewer = create(folder.path(), "vera", &[Role::View]);
    let editor = create(folder.path(), "ed", &[Role::View, Role::Tune]);
    let admin = create(folder.path(), "admin", &[Role::Admin]);
    let server = InProcessServer::start(folder.path()).await;
    for (key, sees, exports) in [(&viewer, false, false), (&editor, true, false), (&admin, true, true)] {
        let mut browser = Browser::new(&server);
        sign_in_exactly(&mut browser, key).await;
        let page = browser.get("/slots/offers").await.page;
        assert!(page.contains("Last decisions") && page.contains("/decisions?id="), "{page}");
        assert_eq!(page.contains("shopper-2"), sees, "{page}");
        let call = async |method: &str, body: &str| {
            let head =
                format!("POST /v1/{method} HTTP/1.1\r\ncontent-type: application/json\r\nauthorization: Bearer {key}");
            let answer = browser.send(&head, body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.page
        };
        let listed = call("ListDecisions", "{\"slotId\": \"offers\"}").await;
        assert_eq!(listed.contains("shopper-2"), sees, "{listed}");
        let explained = call("ExplainDecision", &format!("{{\"decisionId\": \"{last}\"}}")).await;
        assert_eq!(explained.contains("shopper-2"), sees, "{explained}");
        // The parts of the export come as Base64.
        let exported = call("StreamExport", "{\"slotId\": \"offers\"}").await;
        let part = exported.split("\"content\":\"").nth(1).unwrap().split('"').next().unwrap();
        let rows = data_encoding::BASE64.decode(part.as_bytes()).unwrap();
        let rows = String::from_utf8(rows).unwrap();
        assert_eq!(rows.contains("shopper-2"), exports, "{rows}");
        assert!(rows.contains("\"subject_id\":\""), "a pseudonym stands for the id: {rows}");
    }
    server.stop().await;
}
