//! `CloudEvents` 1.0 over HTTP: one event as JSON (structured), several (batch), or attributes in headers (binary).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{ReadMessages, mapping::IncomingMessage, read_json};
use crate::server::problem::HttpProblem;

/// Beginning of the headers that hold attributes.
const ATTRIBUTE_PREFIX: &str = "ce-";
/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// Mode in which a request holds its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentMode {
    Structured,
    Batch,
    Binary,
}

/// Returns the type of a request's content, without its parameters, in small letters.
fn essence(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn mode(headers: &HeaderMap) -> Result<ContentMode, HttpProblem> {
    let unsupported =
        |message: &str| Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    match essence(headers).as_str() {
        "application/cloudevents+json" => Ok(ContentMode::Structured),
        "application/cloudevents-batch+json" => Ok(ContentMode::Batch),
        other if other.starts_with("application/cloudevents") => unsupported(
            "CloudEvents are taken as JSON: application/cloudevents+json or application/cloudevents-batch+json",
        ),
        _ if headers.contains_key("ce-specversion") => Ok(ContentMode::Binary),
        _ => unsupported(
            "the request is no CloudEvent: send the content type application/cloudevents+json or application/cloudevents-batch+json, or the attributes as headers (ce-specversion, ce-id, ce-source, ce-type)",
        ),
    }
}

/// Refuses a request that is in none of the modes.
pub(super) fn check_mode(headers: &HeaderMap) -> Result<(), HttpProblem> {
    mode(headers).map(|_| ())
}

/// Reads the events of a request. An event that stands alone is refused if it is none; one of a batch has a result.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<ReadMessages, HttpProblem> {
    let alone = |event: Value| {
        let message = message(event).map_err(|why| HttpProblem::of_field(String::new(), why))?;
        Ok(vec![Ok(message)])
    };
    match mode(headers)? {
        ContentMode::Structured => alone(read_json(body)?),
        ContentMode::Binary => alone(event_of_headers(headers, body)?),
        ContentMode::Batch => match read_json(body)? {
            Value::Array(events) => Ok(events.into_iter().map(message).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(HttpProblem::of_field(String::new(), "a batch of CloudEvents is a JSON list".to_owned()))
            }
        },
    }
}

/// Checks the attributes of an event in its JSON form, and decodes data that is given as Base64.
fn message(mut event: Value) -> Result<IncomingMessage, String> {
    let Some(fields) = event.as_object_mut() else { return Err("a CloudEvent is a JSON object".to_owned()) };
    for name in REQUIRED {
        if fields.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(format!("the CloudEvent has no {name}"));
        }
    }
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, name, origin) = (text("specversion"), text("type"), text("source"));
    if version != "1.0" {
        return Err(format!("specversion is '{}'; events of version 1.0 are taken", crate::slot::shorten(&version)));
    }
    if let Some(encoded) = fields.remove("data_base64") {
        let bytes = encoded.as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
        let bytes = bytes.ok_or("data_base64 is no Base64")?;
        fields.insert(
            "data".to_owned(),
            serde_json::from_slice(&bytes).map_err(|why| format!("the data is no JSON: {why}"))?,
        );
    }
    Ok(IncomingMessage { name, content: event, origin })
}

/// Returns the JSON form of an event whose attributes are headers and whose data is the body.
fn event_of_headers(headers: &HeaderMap, body: &[u8]) -> Result<Value, HttpProblem> {
    let mut event = Map::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(ATTRIBUTE_PREFIX) else { continue };
        let value = attribute(header, value)?;
        event.insert(name.to_owned(), json!(value));
    }
    let kind = essence(headers);
    if !body.is_empty() {
        if kind != "application/json" && kind != "text/json" && !kind.ends_with("+json") {
            let message = "the data of an event must be JSON, with the content type application/json";
            return Err(HttpProblem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        event.insert("data".to_owned(), read_json(body)?);
    }
    Ok(Value::Object(event))
}

/// Returns the value of an attribute in a header: without quotation marks, and percent-decoded once.
fn attribute(header: &HeaderName, value: &HeaderValue) -> Result<String, HttpProblem> {
    let wrong = || HttpProblem::of_field(header.to_string(), "is no percent-encoded UTF-8".to_owned());
    let text = value.to_str().map_err(|_| wrong())?;
    let unquoted = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => unescaped(inner),
        None => text.to_owned(),
    };
    percent_decoded(&unquoted).ok_or_else(wrong)
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        plain.extend(if character == '\\' { rest.next() } else { Some(character) });
    }
    plain
}

/// Returns a percent-encoded text, or `None` if its bytes are no UTF-8. A sign without two digits stands for itself.
fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_in_headers_are_unquoted_and_decoded_once() {
        let value =
            |text: &'static str| attribute(&HeaderName::from_static("ce-x"), &HeaderValue::from_static(text)).ok();
        assert_eq!(value("Euro%20%E2%82%AC%20%F0%9F%98%80").as_deref(), Some("Euro € 😀"));
        assert_eq!(value("\"a \\\"b\\\" %25\"").as_deref(), Some("a \"b\" %"));
        assert_eq!(value("%2525").as_deref(), Some("%25"));
        assert_eq!((value("100%").as_deref(), value("%+1").as_deref()), (Some("100%"), Some("%+1")));
        assert_eq!(value("%C0%A0"), None, "an overlong form is refused");
    }

    #[test]
    fn an_event_needs_its_attributes() {
        let event =
            json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "view", "data_base64": "eyJhIjoxfQ=="});
        let read = message(event.clone()).unwrap();
        assert_eq!((read.name.as_str(), &read.content["data"]), ("view", &json!({"a": 1})));
        for name in REQUIRED {
            let mut without = event.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(message(without).unwrap_err().contains(name));
        }
        let mut other = event;
        other["specversion"] = json!("0.3");
        assert!(message(other).unwrap_err().contains("'0.3'"));
    }
}
