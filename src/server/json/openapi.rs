//! Description of the calls in OpenAPI 3.1, made from the descriptors and the comments of the proto files.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};

use crate::server::incoming::{CLOUDEVENTS_PATH, SEGMENT_PATH};

/// Comments of the proto files, by file and path.
type Comments = BTreeMap<(String, Vec<i32>), String>;

/// Returns the document of all calls with one request.
pub(super) fn document(pool: &DescriptorPool) -> Value {
    let comments = comments(pool);
    let mut schemas = Schemas { comments: &comments, wanted: BTreeSet::new(), done: Map::new(), pool };
    let mut paths = Map::new();
    for service in pool.services().filter(|service| service.package_name() == "slotwise.v1") {
        for method in service.methods().filter(|method| !method.is_client_streaming()) {
            let content = |schema: Value| json!({ "application/json": { "schema": schema } });
            // Each event of a stream has an answer as its data.
            let kind = if method.is_server_streaming() { super::EVENT_STREAM } else { "application/json" };
            let answers = |schema: Value| json!({ kind: { "schema": schema } });
            let (input, output) = (schemas.reference(&method.input()), schemas.reference(&method.output()));
            let problem = problem();
            let call = json!({ "post": {
                "operationId": method.name(),
                "tags": [service.name()],
                "description": comment(&comments, &method.parent_file(), method.path()),
                "requestBody": { "required": true, "content": content(input) },
                "responses": { "200": { "description": "The answer", "content": answers(output) }, "default": problem }
            }});
            paths.insert(format!("/v1/{}", method.name()), call);
        }
    }
    paths.extend(incoming_calls());
    let mut components = schemas.finish();
    components.insert("Problem".into(), problem_schema());
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Slotwise", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": components }
    })
}

fn problem() -> Value {
    json!({
        "description": "Problem details, RFC 9457",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }
    })
}

/// Returns the calls that take events in the form of other systems, by their paths.
fn incoming_calls() -> [(String, Value); 2] {
    let object = json!({ "type": "object" });
    let batch = json!({ "type": "array", "items": object });
    let text = json!({ "type": "string" });
    let result = json!({
        "type": "object",
        "properties": {
            "eventId": text,
            "status": { "type": "string", "description": "A RewardStatus, or UNMAPPED" },
            "message": text,
            "profileUpdated": { "type": "boolean" },
            "joined": batch
        }
    });
    let results = json!({ "type": "array", "items": result });
    let answer = json!({ "type": "object", "properties": { "success": { "type": "boolean" }, "results": results } });
    let answer = json!({ "description": "A result for each message, in order", "content": { "application/json": { "schema": answer } } });
    let trial = json!({
        "name": "validate_only",
        "in": "query",
        "description": "Answers what would happen, and records nothing",
        "schema": { "type": "boolean" }
    });
    let call = |name: &str, description: &str, content: Value| {
        json!({
            "operationId": name,
            "tags": ["EventService"],
            "description": description,
            "parameters": [trial],
            "requestBody": { "required": true, "content": content },
            "responses": { "200": answer, "default": problem() }
        })
    };
    let events = json!({
        "application/cloudevents+json": { "schema": object },
        "application/cloudevents-batch+json": { "schema": batch },
        "application/json": { "schema": object }
    });
    let cloudevents = call(
        "RecordCloudEvents",
        "Records CloudEvents 1.0: one as JSON, a batch, or the data of one whose attributes are headers (ce-id, ce-source, ce-type).",
        events,
    );
    let segment = call(
        "RecordSegmentEvents",
        "Records a call of Segment's tracking API, or a batch of them.",
        json!({ "application/json": { "schema": object } }),
    );
    let header = json!({ "schema": text });
    let handshake = json!({
        "operationId": "AllowCloudEvents",
        "tags": ["EventService"],
        "description": "Handshake of webhooks: who delivers asks whether it may.",
        "parameters": [{ "name": "WebHook-Request-Origin", "in": "header", "required": true, "schema": text }],
        "responses": { "200": {
            "description": "It may",
            "headers": { "WebHook-Allowed-Origin": header, "WebHook-Allowed-Rate": header }
        } }
    });
    [
        (CLOUDEVENTS_PATH.to_owned(), json!({ "post": cloudevents, "options": handshake })),
        (SEGMENT_PATH.to_owned(), json!({ "post": segment })),
    ]
}

fn problem_schema() -> Value {
    let text = json!({ "type": "string" });
    let field = json!({ "type": "object", "properties": { "field": text, "detail": text } });
    json!({
        "type": "object",
        "required": ["status", "title", "detail"],
        "properties": {
            "status": { "type": "integer" },
            "title": text,
            "detail": text,
            "reason": text,
            "errors": { "type": "array", "items": field },
            "metadata": { "type": "object", "additionalProperties": text },
            "retry_after_ms": { "type": "integer" }
        }
    })
}

/// Returns the leading comment of each element of the proto files.
fn comments(pool: &DescriptorPool) -> Comments {
    let mut comments = Comments::new();
    for file in pool.files() {
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        for location in info.map_or(&[][..], |info| &info.location) {
            if let Some(text) = &location.leading_comments {
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                comments.insert((file.name().to_owned(), location.path.clone()), text);
            }
        }
    }
    comments
}

fn comment(comments: &Comments, file: &FileDescriptor, path: &[i32]) -> String {
    comments.get(&(file.name().to_owned(), path.to_vec())).cloned().unwrap_or_default()
}

/// Schemas of the messages and enumerations that the calls reach.
struct Schemas<'a> {
    pool: &'a DescriptorPool,
    comments: &'a Comments,
    /// Full names that were referred to, and have no schema yet.
    wanted: BTreeSet<String>,
    done: Map<String, Value>,
}

impl Schemas<'_> {
    fn refer(&mut self, full_name: &str) -> Value {
        if !self.done.contains_key(full_name) {
            self.wanted.insert(full_name.to_owned());
        }
        json!({ "$ref": format!("#/components/schemas/{full_name}") })
    }

    fn reference(&mut self, message: &MessageDescriptor) -> Value {
        well_known(message.full_name()).unwrap_or_else(|| self.refer(message.full_name()))
    }

    /// Makes the schemas that are wanted, and those that they want in turn.
    fn finish(mut self) -> Map<String, Value> {
        while let Some(name) = self.wanted.pop_first() {
            let schema = match (self.pool.get_message_by_name(&name), self.pool.get_enum_by_name(&name)) {
                (Some(message), _) => self.message(&message),
                (None, Some(enumeration)) => self.enumeration(&enumeration),
                (None, None) => json!({}),
            };
            self.done.insert(name, schema);
        }
        self.done
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let mut properties = Map::new();
        for field in message.fields() {
            let mut schema = self.field(&field);
            let text = comment(self.comments, &field.parent_file(), field.path());
            // A description may stand beside a reference since OpenAPI 3.1.
            if let (Some(schema), false) = (schema.as_object_mut(), text.is_empty()) {
                schema.insert("description".into(), Value::String(text));
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        json!({
            "type": "object",
            "description": comment(self.comments, &message.parent_file(), message.path()),
            "properties": properties
        })
    }

    fn enumeration(&self, enumeration: &EnumDescriptor) -> Value {
        json!({
            "type": "string",
            "description": comment(self.comments, &enumeration.parent_file(), enumeration.path()),
            "enum": enumeration.values().map(|value| value.name().to_owned()).collect::<Vec<_>>()
        })
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        if let (true, Some(entry)) = (field.is_map(), field.kind().as_message()) {
            return json!({ "type": "object", "additionalProperties": self.kind(&entry.map_entry_value_field().kind()) });
        }
        let one = self.kind(&field.kind());
        if field.cardinality() == Cardinality::Repeated { json!({ "type": "array", "items": one }) } else { one }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0 }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                json!({ "type": "string", "format": "int64" })
            }
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Message(message) => self.reference(message),
            Kind::Enum(enumeration) => self.refer(enumeration.full_name()),
        }
    }
}

/// Returns the schema of a message with a JSON form of its own.
fn well_known(full_name: &str) -> Option<Value> {
    Some(match full_name {
        "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "google.protobuf.Duration" => json!({ "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$" }),
        "google.protobuf.FieldMask" => json!({ "type": "string" }),
        "google.protobuf.Struct" | "google.protobuf.Any" => json!({ "type": "object" }),
        "google.protobuf.ListValue" => json!({ "type": "array" }),
        "google.protobuf.Value" => json!({}),
        "google.protobuf.BoolValue" => json!({ "type": ["boolean", "null"] }),
        "google.protobuf.DoubleValue" | "google.protobuf.FloatValue" => json!({ "type": ["number", "null"] }),
        "google.protobuf.Int32Value" | "google.protobuf.UInt32Value" => json!({ "type": ["integer", "null"] }),
        "google.protobuf.StringValue" | "google.protobuf.Int64Value" | "google.protobuf.UInt64Value" => {
            json!({ "type": ["string", "null"] })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    #[test]
    fn every_unary_call_is_described_and_every_reference_leads_somewhere() {
        let document = document(&super::super::descriptors().unwrap());
        let paths = document["paths"].as_object().unwrap();
        for call in [
            CLOUDEVENTS_PATH,
            SEGMENT_PATH,
            "/v1/Decide",
            "/v1/BatchDecide",
            "/v1/RecordRewards",
            "/v1/GetSlotReport",
            "/v1/UpdateSlot",
        ] {
            assert!(paths.contains_key(call), "{call}");
        }
        assert!(!paths.contains_key("/v1/StreamRewards"));
        let export = &paths["/v1/StreamExport"]["post"]["responses"]["200"]["content"];
        assert!(export["text/event-stream"]["schema"].is_object() && export["application/json"].is_null(), "{export}");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let request = &document["components"]["schemas"]["slotwise.v1.DecideRequest"];
        assert_eq!(request["properties"]["slotId"]["type"], "string");
        assert_eq!(
            request["properties"]["context"]["additionalProperties"]["$ref"],
            "#/components/schemas/slotwise.v1.FeatureValue"
        );
        assert!(request["properties"]["requestId"]["description"].as_str().is_some_and(|text| text.len() > 20));
    }
}
