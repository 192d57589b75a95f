//! The header `traceparent` of W3C Trace Context, as the log has it.

use std::fmt;

use axum::http::HeaderMap;

/// Header with the trace of a call.
const TRACE_PARENT: &str = "traceparent";

/// Trace that a call belongs to, and the span of its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TraceParent {
    pub(super) trace: HexId,
    pub(super) span: HexId,
}

/// Id in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HexId(String);

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HexId {
    /// Reads an id of a number of digits, of which one is not 0.
    fn parse(text: &str, digits: usize) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (text.len() == digits && is_hex && text.bytes().any(|byte| byte != b'0')).then(|| Self(text.to_owned()))
    }
}

impl TraceParent {
    /// Returns the trace of a call, or `None` if it has none that can be read.
    ///
    /// Source: W3C Trace Context, "Traceparent Header": version, trace, span and flags. Later versions may add fields.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(TRACE_PARENT)?.to_str().ok()?;
        let mut fields = text.split('-');
        let version = fields.next()?;
        let is_known = version.len() == 2 && version != "ff" && version.bytes().all(|byte| byte.is_ascii_hexdigit());
        let trace = HexId::parse(fields.next()?, 32)?;
        let span = HexId::parse(fields.next()?, 16)?;
        let flags = fields.next()?;
        let is_whole = flags.len() == 2 && (version != "00" || fields.next().is_none());
        (is_known && is_whole).then_some(Self { trace, span })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_trace_is_read_as_its_standard_says() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(TRACE_PARENT.parse().unwrap(), HeaderValue::from_str(text).unwrap())]);
            TraceParent::of(&headers)
        };
        let want = TraceParent { trace: HexId(trace.into()), span: HexId(span.into()) };
        assert_eq!(read(&format!("00-{trace}-{span}-01")), Some(want.clone()));
        assert_eq!(read(&format!("cc-{trace}-{span}-01-more")), Some(want));
        for wrong in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}"),
            format!("00-{trace}x-{span}-01"),
            String::new(),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
        assert_eq!(TraceParent::of(&HeaderMap::new()), None);
    }
}
