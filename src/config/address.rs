//! Address on which a server listens, as people write it.

use std::{fmt, io, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A host, by name or by number, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The port; 0 takes a free one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host's name or number, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns every socket address that the host stands for; a name may stand for several.
    ///
    /// # Errors
    ///
    /// If the name is unknown.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let all: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        if all.is_empty() { Err(io::Error::other("the name stands for no address")) } else { Ok(all) }
    }
}

impl<A: Into<SocketAddr>> From<A> for Address {
    fn from(address: A) -> Self {
        let address = address.into();
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "'{given}' is no address to listen on: {why}; write it as 127.0.0.1:50051, localhost:50051 or [::1]:50051"
            )
        };
        let text = given.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        // A port alone, with or without its colon, is this machine's.
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(Self { host: "127.0.0.1".to_owned(), port });
        }
        let Some((host, port)) = text.rsplit_once(':') else { return Err(wrong("the port is missing")) };
        let port = port.parse().map_err(|_| wrong("the port must be a number from 0 to 65535"))?;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
        if host.is_empty() || !host.chars().all(named) {
            return Err(wrong("the host is neither a name nor a number"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (given, want) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("localhost:1", "localhost:1"),
            ("[::1]:1", "[::1]:1"),
            (":1", "127.0.0.1:1"),
            ("8080", "127.0.0.1:8080"),
            ("http://localhost:1/", "localhost:1"),
            ("0.0.0.0:0", "0.0.0.0:0"),
        ] {
            assert_eq!(given.parse::<Address>().unwrap().to_string(), want, "{given}");
        }
        for wrong in ["", "localhost", "localhost:x", "localhost:70000", "a b:1", "::1:x"] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("127.0.0.1:50051") && !error.contains('\n'), "{wrong}: {error}");
        }
    }
}
