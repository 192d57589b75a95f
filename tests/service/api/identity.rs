//! Groups of shoppers who log in, on a real server that is stopped in between.

use slotwise::wire::proto::{Controls, DecideRequest, Slot, Subject};

use super::support::{Clients, InProcessServer, decide, slot};

async fn holdout(clients: &mut Clients, slot: &str, id: &str, session_id: &str) -> bool {
    let subject = Some(Subject { id: id.into(), session_id: session_id.into() });
    clients.decide(DecideRequest { subject, ..decide(slot) }).await.unwrap().holdout
}

/// Shoppers browse without an id, log in, come back in another session, and see another slot of the experiment. Half of
/// them would be drawn into another group by their ids.
#[tokio::test]
async fn shoppers_who_log_in_keep_their_group() {
    const SHOPPERS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    for id in ["offers", "banner"] {
        let controls = Controls { holdout: Some(0.5), experiment: Some("season".into()), ..Controls::default() };
        clients.create(Slot { controls: Some(controls), ..slot(id, &["a", "b"]) }).await.unwrap();
    }
    let mut groups = Vec::new();
    for i in 0..SHOPPERS {
        let (id, session) = (format!("shopper{i}@example.com"), format!("s{i}"));
        let before = holdout(&mut clients, "offers", "", &session).await;
        assert_eq!(holdout(&mut clients, "offers", &id, &session).await, before, "at login");
        assert_eq!(holdout(&mut clients, "offers", &id, &format!("phone{i}")).await, before, "in a later session");
        assert_eq!(holdout(&mut clients, "banner", &id, "").await, before, "in another slot of the experiment");
        groups.push(before);
    }
    server.stop().await;
    let server = InProcessServer::start(folder.path()).await;
    let mut clients = server.clients().await;
    for (i, before) in groups.iter().enumerate() {
        for slot in ["offers", "banner"] {
            let id = format!("shopper{i}@example.com");
            assert_eq!(holdout(&mut clients, slot, &id, "").await, *before, "after a restart");
        }
    }
    let drawn_by_id = async |clients: &mut Clients| {
        let mut moved = 0;
        for (i, before) in groups.iter().enumerate() {
            // An id that never came with a session is drawn by itself.
            moved += usize::from(holdout(clients, "offers", &format!("other{i}"), "").await != *before);
        }
        moved
    };
    assert!((SHOPPERS / 6..SHOPPERS * 5 / 6).contains(&drawn_by_id(&mut clients).await));
    server.stop().await;
}
