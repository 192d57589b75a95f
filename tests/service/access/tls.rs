//! TLS on both ports.

use std::{fs, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use slotwise::{
    client::{CallOptions, Client, ClientError},
    config::{Config, TlsFiles},
    server::{Listeners, run},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::support::{PATIENCE, program, slot};

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key of a name, in PEM.
fn issued(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

struct TlsServer {
    grpc: String,
    http: String,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<Result<(), slotwise::server::ServeError>>,
}

impl TlsServer {
    async fn start(data: &Path, tls: TlsFiles) -> Self {
        let addresses = || ([127, 0, 0, 1], 0).into();
        let config = Config {
            grpc_address: addresses(),
            http_address: addresses(),
            data: data.to_owned(),
            shutdown_delay: Duration::ZERO,
            tls: Some(tls),
            ..Config::default()
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let grpc = listeners.grpc_address().unwrap().to_string();
        let http = listeners.http_address().unwrap().to_string();
        let (stop, (ready, started)) = (CancellationToken::new(), tokio::sync::oneshot::channel());
        let child = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "the test waits for it in stop()")]
        let served = tokio::spawn(async move {
            run(listeners, &config, child, || {
                let _ = ready.send(());
            })
            .await
        });
        tokio::time::timeout(PATIENCE, started).await.unwrap().unwrap();
        Self { grpc, http, stop, served }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.served).await.unwrap().unwrap().unwrap();
    }
}

async fn connect(server: &TlsServer, ca_file: &Path) -> Result<Client, ClientError> {
    let options = CallOptions { ca_file: Some(ca_file.to_owned()), ..CallOptions::default() };
    Client::connect_with(&format!("https://{}", server.grpc), &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_speak_tls_and_a_new_certificate_is_taken_while_they_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (first, second) = (authority("first"), authority("second"));
    fs::write(path("first.pem"), first.pem()).unwrap();
    fs::write(path("second.pem"), second.pem()).unwrap();
    let write = |issuer| {
        let (certificate, key) = issued(issuer, "localhost");
        fs::write(path("key.pem"), key).unwrap();
        fs::write(path("certificate.pem"), certificate).unwrap();
    };
    write(&first);
    let tls = TlsFiles { certificate: path("certificate.pem"), key: path("key.pem"), client_ca: None };
    let server = TlsServer::start(&path("data"), tls).await;

    let mut client = connect(&server, &path("first.pem")).await.unwrap();
    assert!(client.list_slots().await.unwrap().is_empty());
    let untrusted = connect(&server, &path("second.pem")).await.unwrap_err();
    assert!(matches!(untrusted, ClientError::Unreachable { .. }), "{untrusted}");
    let plain = match Client::connect(&server.grpc).await {
        Ok(mut client) => client.list_slots().await.map(drop),
        Err(why) => Err(why),
    };
    assert!(plain.is_err(), "plain text is refused");

    // The HTTP port, by a program that is not ours to link: the command line with the same flags.
    let listed = |ca: &str| {
        let mut command = program();
        command.args(["slots", "list", "--target", &format!("https://{}", server.grpc), "--ca-file"]).arg(path(ca));
        command.output().unwrap().status.success()
    };
    assert!(listed("first.pem") && !listed("second.pem"));
    let page = https_get(&server.http, &first.pem(), "/readyz").await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(https_get(&server.http, &second.pem(), "/readyz").await.is_err());

    write(&second);
    let taken = tokio::time::timeout(PATIENCE, async {
        while connect(&server, &path("second.pem")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    taken.await.expect("the new certificate is taken");
    assert!(client.list_slots().await.is_ok(), "the connection from before goes on");
    // A file that cannot be used changes nothing.
    fs::write(path("certificate.pem"), "no certificate").unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(connect(&server, &path("second.pem")).await.is_ok());
    drop(client);
    server.stop().await;
}

/// Gets a page over TLS with a certificate of this authority.
async fn https_get(address: &str, authority: &str, page: &str) -> std::io::Result<String> {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore,
            pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        },
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(format!("GET {page} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_authority_for_clients_only_their_certificates_open_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let (certificate, key) = issued(&ours, "localhost");
    fs::write(path("certificate.pem"), certificate).unwrap();
    fs::write(path("key.pem"), key).unwrap();
    fs::write(path("ca.pem"), ours.pem()).unwrap();
    let tls = TlsFiles { certificate: path("certificate.pem"), key: path("key.pem"), client_ca: Some(path("ca.pem")) };
    let server = TlsServer::start(&path("data"), tls).await;
    let url = format!("https://{}", server.grpc);
    let ask = async |identity: Option<(String, String)>| {
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ours.pem())).domain_name("localhost");
        if let Some((certificate, key)) = identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Channel::from_shared(url.clone()).unwrap().tls_config(config).unwrap();
        let channel = endpoint.connect().await.map_err(|why| why.to_string())?;
        let mut slots = slotwise::wire::proto::slot_service_client::SlotServiceClient::new(channel);
        let created =
            slotwise::wire::proto::CreateSlotRequest { slot: Some(slot("offers", &["a"])), ..Default::default() };
        slots.create_slot(created).await.map(drop).map_err(|why| why.to_string())
    };
    assert!(ask(None).await.is_err());
    assert!(ask(Some(issued(&theirs, "client"))).await.is_err());
    ask(Some(issued(&ours, "client"))).await.unwrap();
    server.stop().await;
}

#[test]
fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let issuer = authority("one");
    let (certificate, key) = issued(&issuer, "localhost");
    let (_, other_key) = issued(&issuer, "localhost");
    for (name, text) in [("c.pem", &certificate), ("k.pem", &key), ("o.pem", &other_key), ("x.pem", &String::new())] {
        fs::write(path(name), text).unwrap();
    }
    for (certificate, key, words) in [
        ("none.pem", "k.pem", "cannot read the certificate"),
        ("x.pem", "k.pem", "it holds no certificate"),
        ("c.pem", "x.pem", "cannot read the private key"),
        ("c.pem", "o.pem", "cannot serve TLS with the certificate"),
    ] {
        let config = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", path(certificate), path(key));
        fs::write(path("slotwise.toml"), config).unwrap();
        let output =
            crate::support::serve_command(&path("data")).arg("--config").arg(path("slotwise.toml")).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(words), "{certificate} {key}: {text}");
    }
}

/// A client that begins a handshake and goes on byte by byte does not hold its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_is_closed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (certificate, key) = issued(&authority("first"), "localhost");
    fs::write(path("key.pem"), key).unwrap();
    fs::write(path("certificate.pem"), certificate).unwrap();
    let tls = TlsFiles { certificate: path("certificate.pem"), key: path("key.pem"), client_ca: None };
    let server = TlsServer::start(&path("data"), tls).await;
    for address in [&server.grpc, &server.http] {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        // Header of a record of 512 bytes that holds a ClientHello. The rest comes a byte a second.
        connection.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        let until_closed = async {
            let mut answer = [0; 64];
            loop {
                tokio::select! {
                    read = connection.read(&mut answer) => if read.map_or(true, |bytes| bytes == 0) { return },
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                let _ = connection.write_all(&[0]).await;
            }
        };
        tokio::time::timeout(PATIENCE, until_closed).await.expect("it is closed while bytes still come");
    }
    server.stop().await;
}
