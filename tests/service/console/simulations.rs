//! The page "Simulations", and the pages that it serves.

use slotwise::config::Config;

use super::Browser;
use crate::support::{InProcessServer, started};

#[tokio::test(flavor = "multi_thread")]
async fn the_simulators_pages_are_listed_and_served_in_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("pages");
    let simulations = Some(pages.clone());
    let config = Config { data: folder.path().join("data"), simulations, ..Config::default() };
    let server = InProcessServer::start_with(config).await;
    let browser = Browser::new(&server);
    let unreadable = browser.get("/simulations").await;
    assert!(unreadable.status == 200 && unreadable.page.contains("cannot be read"), "{}", unreadable.page);
    std::fs::create_dir(&pages).unwrap();
    let empty = browser.get("/simulations").await.page;
    assert!(empty.contains("No simulation yet") && empty.contains("cargo sim run offer --html"), "{empty}");

    std::fs::write(pages.join("offer-1.html"), "<script>document.title = 'run'</script>").unwrap();
    std::fs::write(folder.path().join("secret.html"), "secret").unwrap();
    let listed = browser.get("/simulations").await.page;
    assert!(listed.contains("href=\"/simulations/offer-1.html\""), "{listed}");
    let shown = browser.get("/simulations/offer-1.html").await;
    assert!(shown.status == 200 && shown.page.contains("document.title"), "{shown:?}");
    for header in [
        "content-security-policy: sandbox allow-scripts; default-src 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "content-type: text/html",
        "cache-control: no-store",
    ] {
        assert!(shown.headers.contains(header), "{header}: {}", shown.headers);
    }
    assert_eq!(shown.headers.matches("content-security-policy").count(), 1, "{}", shown.headers);
    assert!(!shown.headers.contains("allow-same-origin"));
    for path in ["..%2Fsecret.html", "%2E%2E%2Fsecret.html", "../secret.html", "..", "secret.html", "offer-1.html%00"] {
        let refused = browser.get(&format!("/simulations/{path}")).await;
        assert!(refused.status == 404 || refused.status == 400, "{path}: {refused:?}");
        assert!(!refused.page.contains("secret<") && refused.page != "secret", "{path}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_the_page_says_how_to_set_one() {
    let (_folder, server, _clients) = started().await;
    let browser = Browser::new(&server);
    let page = browser.get("/simulations").await.page;
    assert!(page.contains("slotwise serve --simulations FOLDER"), "{page}");
    assert_eq!(browser.get("/simulations/offer.html").await.status, 404);
    server.stop().await;
}
