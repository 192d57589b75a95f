//! Live parts of open pages, as server-sent events.

use std::time::Duration;

use slotwise::access::{KeyStore, Role};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Browser, create, sign_in_exactly, traffic};
use crate::support::{InProcessServer, slot, started};

/// Time of any step.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stream of a page.
struct EventReader {
    stream: TcpStream,
    text: String,
}

impl EventReader {
    async fn open(browser: &Browser, page: &str) -> Self {
        let mut stream = TcpStream::connect(&browser.http).await.unwrap();
        let head = format!("GET /live?page={page} HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", browser.cookie);
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads until a text has come. Returns all that came, or `None` if the stream ended or the time is over before.
    async fn until(&mut self, words: &str, within: Duration) -> Option<String> {
        let reading = async {
            while !self.text.contains(words) {
                let mut part = [0; 4096];
                match self.stream.read(&mut part).await {
                    Ok(0) | Err(_) => return None,
                    Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&part[..bytes])),
                }
            }
            Some(std::mem::take(&mut self.text))
        };
        tokio::time::timeout(within, reading).await.ok().flatten()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_sent_what_changes_and_nothing_else() {
    let (_folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    let browser = Browser::new(&server);
    for (page, status) in [("//evil.example%2F", 400), ("slots", 400), ("https:%2F%2Fevil.example%2F", 400)] {
        assert_eq!(browser.get(&format!("/live?page={page}")).await.status, status, "{page}");
    }
    let mut events = EventReader::open(&browser, "%2Fslots%2Foffers").await;
    traffic(&mut clients, "offers", 7).await;
    let first = events.until("id=\"decisions\"", PATIENCE).await.unwrap();
    assert!(first.contains("content-type: text/event-stream") && first.contains("event: part"), "{first}");
    assert!(first.contains("<dd>7</dd>"), "{first}");
    let more = events.until("event: part", Duration::from_millis(4_500)).await;
    assert_eq!(more, None, "nothing changed: {}", events.text);
    assert!(events.text.matches(':').count() >= 2, "the connection is kept: {:?}", events.text);
    traffic(&mut clients, "offers", 2).await;
    assert!(events.until("<dd>9</dd>", PATIENCE).await.is_some());
    let missing = EventReader::open(&browser, "%2Fslots%2Fnowhere").await.until("event: end", PATIENCE).await;
    assert!(missing.is_some_and(|text| !text.contains("event: part")), "a page that is not shown has no parts");
    server.stop().await;
}

/// A stream ends with its visitor's key, and shows what the key may see and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_key_and_with_the_service() {
    let folder = tempfile::tempdir().unwrap();
    {
        let server = InProcessServer::start(folder.path()).await;
        let mut clients = server.clients().await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        traffic(&mut clients, "offers", 3).await;
        server.stop().await;
    }
    let of = |name, roles: &[Role]| create(folder.path(), name, roles);
    let keys = [of("vera", &[Role::View]), of("ed", &[Role::View, Role::Tune])];
    let server = InProcessServer::start(folder.path()).await;
    let [mut vera, mut ed] = [Browser::new(&server), Browser::new(&server)];
    assert_eq!(vera.get("/live?page=%2Fslots%2Foffers").await.status, 303, "without a session there is no stream");
    sign_in_exactly(&mut vera, &keys[0]).await;
    sign_in_exactly(&mut ed, &keys[1]).await;
    let mut of_vera = EventReader::open(&vera, "%2Fslots%2Foffers").await;
    let mut of_ed = EventReader::open(&ed, "%2Fslots%2Foffers").await;
    let shown = of_vera.until("The newest first", PATIENCE).await.unwrap();
    assert!(
        shown.contains("Last decisions") && !shown.contains(">shopper<"),
        "who may only view sees no shopper: {shown}"
    );
    // Streams of the same page share it only among those who see the same.
    assert!(of_ed.until(">shopper<", PATIENCE).await.is_some(), "who may change slots sees shoppers");
    let mut another = EventReader::open(&ed, "%2Fslots%2Foffers").await;
    assert!(another.until(">shopper<", PATIENCE).await.is_some(), "a second stream of one caller");
    KeyStore::new(folder.path()).revoke("vera", 1).unwrap();
    assert!(of_vera.until("event: end", Duration::from_secs(5)).await.is_some(), "the stream ends with the key");
    let ((), ended) = tokio::join!(server.stop(), of_ed.until("event: end", Duration::from_secs(5)));
    assert!(ended.is_some(), "and with the service");
}
