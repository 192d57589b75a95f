//! Addresses of a service as people write them.

use tonic::transport::Endpoint;

use super::error::ClientError;

/// Port of an address that gives none.
const PORT: u16 = 50_051;

/// Returns the URL of a service's address. The address may have a scheme, a port and a final slash or lack them, and may
/// be a name or a number.
///
/// # Errors
///
/// [`ClientError::Address`] if `target` is not an address.
pub fn target_url(target: &str) -> Result<String, ClientError> {
    let wrong = || ClientError::Address(target.to_owned());
    let text = target.trim();
    let (scheme, rest) = match text.split_once("://") {
        Some(("https" | "grpcs", rest)) => ("https", rest),
        Some(("http" | "grpc" | "tcp", rest)) => ("http", rest),
        Some(("dns", rest)) => ("http", rest.trim_start_matches('/')),
        Some(_) => return Err(wrong()),
        None => ("http", text),
    };
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
        return Err(wrong());
    }
    let (host, port) = host_and_port(rest).ok_or_else(wrong)?;
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("{scheme}://{host}:{}", port.unwrap_or(PORT));
    Endpoint::from_shared(url.clone()).map_err(|_| wrong())?;
    Ok(url)
}

/// Splits `host:port`, `[::1]:port`, `::1`, `:port`, `host` or `port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if after.is_empty() => None,
            None => return None,
        };
        return host.parse::<std::net::Ipv6Addr>().is_ok().then_some((host, port));
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    if let Ok(port) = text.parse() {
        return Some(("", Some(port)));
    }
    match text.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => None,
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for (given, want) in [
            ("127.0.0.1:51400", "http://127.0.0.1:51400"),
            ("http://127.0.0.1:51400", "http://127.0.0.1:51400"),
            ("http://127.0.0.1:51400/", "http://127.0.0.1:51400"),
            ("grpc://shop.internal:9000", "http://shop.internal:9000"),
            ("dns:///shop.internal:9000", "http://shop.internal:9000"),
            ("localhost", "http://localhost:50051"),
            ("http://localhost", "http://localhost:50051"),
            ("localhost:1", "http://localhost:1"),
            (":51400", "http://127.0.0.1:51400"),
            ("51400", "http://127.0.0.1:51400"),
            ("[::1]:51400", "http://[::1]:51400"),
            ("::1", "http://[::1]:50051"),
            (" 127.0.0.1:1 ", "http://127.0.0.1:1"),
            ("https://shop.internal", "https://shop.internal:50051"),
        ] {
            assert_eq!(target_url(given).unwrap(), want, "{given}");
        }
        for wrong in ["", "ftp://x", "a b", "host:port", "host:70000", "http://", "1::2::3:4:x", "a/b"] {
            let error = target_url(wrong).unwrap_err().to_string();
            assert!(error.contains("127.0.0.1:50051"), "{wrong}: {error}");
        }
    }
}
