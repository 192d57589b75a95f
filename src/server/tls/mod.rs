//! TLS of both ports: certificates from files, read again when they change.
//!
//! rustls does the work, with ring as its only provider of cryptography. A client certificate is asked for where the
//! configuration names an authority for them; it opens the port, and the key of each call still says who calls.

mod stream;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};
use tokio_util::sync::CancellationToken;

pub(super) use stream::PortStream;

use crate::config::TlsFiles;

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reason why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} {}: {why}", file.display())]
    File {
        /// Content of the file.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Reason.
        why: String,
    },
    /// The files do not belong together.
    #[error("cannot serve TLS with the certificate {}: {why}", file.display())]
    Unusable {
        /// File of the certificate.
        file: PathBuf,
        /// Reason.
        why: String,
    },
}

/// Protocols that a port offers, the preferred one first.
pub(super) type Protocols = &'static [&'static [u8]];
/// Protocols of the gRPC port.
pub(super) const GRPC: Protocols = &[b"h2"];
/// Protocols of the HTTP port.
pub(super) const HTTP: Protocols = &[b"h2", b"http/1.1"];

/// Settings of TLS as they were last read from their files. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct TlsSource(Arc<SharedTls>);

#[derive(Debug)]
struct SharedTls {
    files: TlsFiles,
    read: RwLock<Arc<ReadFiles>>,
}

/// Configurations of both ports, and the times at which their files were last changed.
#[derive(Debug)]
struct ReadFiles {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    changed: Vec<Option<SystemTime>>,
}

fn certificates(what: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File { what, file: file.to_owned(), why };
    let bytes = fs::read(file).map_err(|why| wrong(why.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|why| wrong(why.to_string()))?;
    if all.is_empty() { Err(wrong("it holds no certificate in PEM".into())) } else { Ok(all) }
}

fn changed(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    let modified = |file: &PathBuf| fs::metadata(file).and_then(|file| file.modified()).ok();
    [&files.certificate, &files.key].into_iter().chain(&files.client_ca).map(modified).collect()
}

fn read(files: &TlsFiles) -> Result<ReadFiles, TlsError> {
    let changed = changed(files);
    let chain = certificates("the certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| TlsError::File {
        what: "the private key",
        file: files.key.clone(),
        why: why.to_string(),
    })?;
    let unusable = |why: String| TlsError::Unusable { file: files.certificate.clone(), why };
    let builder = ServerConfig::builder();
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("the authority of clients", file)? {
                roots.add(certificate).map_err(|why| unusable(why.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|why| unusable(why.to_string()))?)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(|why| unusable(why.to_string()))?;
    let offering = |protocols: Protocols| {
        let mut config = config.clone();
        config.alpn_protocols = protocols.iter().map(|&name| name.to_vec()).collect();
        Arc::new(config)
    };
    Ok(ReadFiles { grpc: offering(GRPC), http: offering(HTTP), changed })
}

impl TlsSource {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] of each kind.
    pub(super) fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        // The first provider of a process stays, and here it is always the same one.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let read = RwLock::new(Arc::new(read(files)?));
        Ok(Self(Arc::new(SharedTls { files: files.clone(), read })))
    }

    fn current(&self) -> Arc<ReadFiles> {
        Arc::clone(&self.0.read.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Acceptor of a new connection to the port that offers these protocols.
    pub(super) fn acceptor(&self, protocols: Protocols) -> TlsAcceptor {
        let current = self.current();
        let is_grpc = protocols.len() == GRPC.len();
        TlsAcceptor::from(Arc::clone(if is_grpc { &current.grpc } else { &current.http }))
    }

    /// Reads the files again when they change, until `stop` is cancelled. Connections that are open keep their certificate.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut tried = self.current().changed.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = changed(&self.0.files);
            if now == tried {
                continue;
            }
            tried.clone_from(&now);
            match read(&self.0.files) {
                Ok(read) => {
                    tracing::info!(certificate = %self.0.files.certificate.display(), "the certificate was read again");
                    *self.0.read.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(read);
                }
                Err(why) => tracing::error!(%why, "the certificate cannot be read again; the one from before stays"),
            }
        }
    }
}
