//! Calls of Segment's tracking API: one message, or a batch of them.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{ReadMessages, mapping::IncomingMessage, read_json};
use crate::server::problem::HttpProblem;

/// Reads one message, or those of a batch. A message of a batch takes over the batch's context.
pub(super) fn read(_headers: &HeaderMap, body: &[u8]) -> Result<ReadMessages, HttpProblem> {
    let mut call = read_json(body)?;
    let Some(fields) = call.as_object_mut() else {
        return Err(HttpProblem::of_field(String::new(), "a call of Segment is a JSON object".to_owned()));
    };
    let context = fields.get("context").cloned();
    match fields.remove("batch") {
        None => Ok(vec![message(call, None)]),
        Some(Value::Array(batch)) => Ok(batch.into_iter().map(|one| message(one, context.as_ref())).collect()),
        Some(_) => Err(HttpProblem::of_field("batch".to_owned(), "must be a list of messages".to_owned())),
    }
}

/// Reads a message, which is named by its event, or by its type if it is no `track`.
fn message(mut content: Value, context: Option<&Value>) -> Result<IncomingMessage, String> {
    let Some(fields) = content.as_object_mut() else { return Err("a message is a JSON object".to_owned()) };
    if let (None, Some(context)) = (fields.get("context"), context) {
        fields.insert("context".to_owned(), context.clone());
    }
    // The path of a call says its type where the message does not, and this path is that of events.
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("track");
    let name = if kind == "track" { fields.get("event").and_then(Value::as_str) } else { Some(kind) };
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Err("event: a track has the name of its event".to_owned());
    };
    Ok(IncomingMessage { name: name.to_owned(), content, origin: String::new() })
}
