//! Limits on what clients may hold open at a time.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The table `[limits]` of the configuration: what clients may hold open, on both ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections to the gRPC port; beyond them new ones are closed at once. The HTTP port takes an eighth as many.
    #[serde(deserialize_with = "positive")]
    pub connections: usize,
    /// Open calls of one gRPC connection; clients wait with further ones.
    #[serde(deserialize_with = "positive")]
    pub streams_per_connection: u32,
    /// Open calls of all connections; further ones are refused. Health checks are not counted.
    #[serde(deserialize_with = "positive")]
    pub calls: usize,
    /// Open calls that read: reports, explanations, previews, slots. Further ones are refused, and a few are worked on
    /// at a time, so that decisions do not wait behind them.
    #[serde(deserialize_with = "positive")]
    pub reads: usize,
    /// Bytes of requests that have begun to arrive and are not answered; further ones are refused.
    #[serde(deserialize_with = "positive")]
    pub bytes_in_flight: usize,
    /// Time that a new gRPC connection may be silent, and that an HTTP connection may take for a request.
    #[serde(deserialize_with = "super::duration", serialize_with = "super::duration_text")]
    pub header_timeout: Duration,
    /// Time that a call may take from its headers to its answer, including the arrival of its message.
    #[serde(deserialize_with = "super::duration", serialize_with = "super::duration_text")]
    pub call_timeout: Duration,
    /// Time that a gRPC connection may be silent before it is asked whether the client is still there; one that does not
    /// answer within the same time is closed.
    #[serde(deserialize_with = "super::duration", serialize_with = "super::duration_text")]
    pub keepalive: Duration,
}

/// Reads a number above 0: with a limit of 0 nothing would be served.
pub(super) fn positive<'de, D: Deserializer<'de>, N: Deserialize<'de> + Default + PartialEq>(
    deserializer: D,
) -> Result<N, D::Error> {
    let number = N::deserialize(deserializer)?;
    if number == N::default() { Err(D::Error::custom("must be at least 1")) } else { Ok(number) }
}

impl Limits {
    /// Number of connections that the HTTP port takes.
    pub fn http_connections(&self) -> usize {
        self.connections.div_ceil(8)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            streams_per_connection: 256,
            calls: 2_048,
            reads: 256,
            bytes_in_flight: 64 * 1024 * 1024,
            header_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_mins(1),
            keepalive: Duration::from_secs(30),
        }
    }
}
