//! Reader of a server's metrics at `/metrics`.

use std::{error::Error, time::Duration};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use slotwise::config::Config;
use tonic::transport::Uri;

/// Time limit of an answer, shorter than the time between two samples.
const PATIENCE: Duration = Duration::from_secs(5);
/// Greatest size of an answer, enough for some thousand slots with twenty arms each.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Series of the process's resident memory in bytes.
const RESIDENT: &str = "process_resident_memory_bytes";
/// Series of the decisions that may still be rewarded, by slot.
const PENDING: &str = "slotwise_pending_decisions";

/// Sampled metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gauges {
    /// Resident memory in bytes, or `None` if the server does not report it.
    pub resident_bytes: Option<f64>,
    /// Pending decisions of the slot, or `None` if the server does not report them.
    pub pending: Option<f64>,
}

impl Gauges {
    fn read(text: &str, slot: &str) -> Self {
        let pending = format!("{PENDING}{{slot=\"{slot}\"}}");
        Self { resident_bytes: value(text, RESIDENT), pending: value(text, &pending) }
    }
}

/// The value of a series, which is named as in the text format.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Reader of one server's metrics.
#[derive(Debug)]
pub struct Scraper {
    client: Client<HttpConnector, Empty<&'static [u8]>>,
    uri: Uri,
    slot: String,
}

impl Scraper {
    /// Creates a reader of the server at `http`, or else at the host of `target` with the port of a default
    /// configuration.
    pub fn new(http: Option<&str>, target: &str, slot: &str) -> Result<Self, String> {
        let host = |target: &str| Some(target.parse::<Uri>().ok()?.host()?.to_owned());
        let base = if let Some(http) = http {
            http.trim_end_matches('/').to_owned()
        } else {
            let host = host(target).ok_or_else(|| format!("'{target}' names no host"))?;
            format!("http://{host}:{}", Config::default().http_address.port())
        };
        let uri: Uri = format!("{base}/metrics")
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.scheme_str() == Some("http"))
            .ok_or_else(|| format!("'{base}' is not an address; write --http as http://127.0.0.1:8080"))?;
        Ok(Self { client: Client::builder(TokioExecutor::new()).build_http(), uri, slot: slot.to_owned() })
    }

    /// Reads the current metrics. The error is one line.
    pub async fn read(&self) -> Result<Gauges, String> {
        let read = async {
            let response = self.client.get(self.uri.clone()).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
            if !status.is_success() {
                return Err(format!("it answers {status}").into());
            }
            Ok(Gauges::read(&String::from_utf8_lossy(&body), &self.slot))
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        let read: Result<Gauges, Box<dyn Error + Send + Sync>> = read.unwrap_or_else(|late| Err(late.into()));
        read.map_err(|why| {
            let cause = why.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("cannot read {}: {why}{cause}; give the server's HTTP address with --http", self.uri)
        })
    }

    /// Address of the metrics.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_found_by_its_whole_name() {
        let text = "# HELP process_resident_memory_bytes Resident memory.\n\
                    process_resident_memory_bytes_peak 9\n\
                    process_resident_memory_bytes 1.5e+08\n\
                    slotwise_pending_decisions_bytes{slot=\"soak\"} 8\n\
                    slotwise_pending_decisions{slot=\"soak-2\"} 7\n\
                    slotwise_pending_decisions{slot=\"soak\"} 12\n";
        let gauges = Gauges::read(text, "soak");
        assert_eq!(gauges, Gauges { resident_bytes: Some(1.5e8), pending: Some(12.0) });
        assert_eq!(Gauges::read("process_resident_memory_bytes many\n", "soak"), Gauges::default());
    }

    #[test]
    fn without_an_address_the_default_port_of_the_host_is_asked() {
        let uri = |http, target| Scraper::new(http, target, "soak").map(|scraper| scraper.uri().to_string());
        assert_eq!(uri(None, "http://shop:50051").unwrap(), "http://shop:8080/metrics");
        assert_eq!(uri(Some("http://other:1/"), "http://shop:50051").unwrap(), "http://other:1/metrics");
        assert!(uri(Some("ftp://other"), "http://shop:1").unwrap_err().contains("'ftp://other' is not an address"));
    }
}
