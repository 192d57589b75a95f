//! Every text field of every request, filled with texts that are too long, that a terminal would obey, or that grow
//! when they are quoted. The answer is short, and its status fits into the trailers that any client accepts.

use std::collections::HashMap;

use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _},
};
use prost_types::{
    DescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use slotwise::wire::proto::{DESCRIPTORS, Slot};
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use super::support::{self, slot, started};

/// Codec that passes messages on as bytes.
#[derive(Clone, Copy, Default)]
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// The API's descriptors: every message type by its full name, and every method as its path and input type.
struct ApiDescriptors {
    types: HashMap<String, DescriptorProto>,
    methods: Vec<(String, String)>,
}

impl ApiDescriptors {
    fn read() -> Self {
        let all = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
        let mut descriptors = Self { types: HashMap::new(), methods: Vec::new() };
        for file in &all.file {
            let package = file.package();
            for message in &file.message_type {
                descriptors.add(&format!(".{package}"), message);
            }
            for service in &file.service {
                let path = |method: &str| format!("/{package}.{}/{method}", service.name());
                let methods = service.method.iter().map(|m| (path(m.name()), m.input_type().to_owned()));
                descriptors.methods.extend(methods);
            }
        }
        descriptors
    }

    fn add(&mut self, within: &str, message: &DescriptorProto) {
        let name = format!("{within}.{}", message.name());
        message.nested_type.iter().for_each(|nested| self.add(&name, nested));
        self.types.insert(name, message.clone());
    }

    /// Builds one message of type `of` for each text field in it. The field holds `text`, and the other fields hold
    /// what the server needs before it looks at that field. Each message comes with the field's path.
    fn messages_with_text(&self, of: &str, text: &str, above: &mut Vec<String>) -> Vec<(String, Vec<u8>)> {
        if above.iter().any(|name| name == of) {
            return Vec::new();
        }
        let message = &self.types[of];
        above.push(of.to_owned());
        let mut found = Vec::new();
        for field in &message.field {
            let inner = match field.r#type() {
                Type::String => vec![(String::new(), text.as_bytes().to_vec())],
                Type::Message => self.messages_with_text(field.type_name(), text, above),
                _ => Vec::new(),
            };
            for (path, bytes) in inner {
                let mut whole = Self::companions(message, field.name());
                put_field(&mut whole, field.number(), &bytes);
                let dots = if path.is_empty() { "" } else { "." };
                found.push((format!("{}{dots}{path}", field.name()), whole));
            }
        }
        above.pop();
        found
    }

    /// Returns the other fields of a message that must be set before the server looks at `field`.
    fn companions(message: &DescriptorProto, field: &str) -> Vec<u8> {
        let known: &[(&str, &str)] = &[
            ("slot_id", "offers"),
            ("arm_id", "a"),
            ("event_id", "e"),
            ("kind", "click"),
            ("name", "n"),
            ("key", "x"),
        ];
        let mut bytes = Vec::new();
        for other in &message.field {
            let value = known.iter().find(|(name, _)| *name == other.name());
            if other.name() != field
                && other.r#type() == Type::String
                && other.label() != Label::Repeated
                && let Some((_, value)) = value
            {
                put_field(&mut bytes, other.number(), value.as_bytes());
            }
        }
        bytes
    }
}

/// Appends a text or an embedded message as a field.
fn put_field(to: &mut Vec<u8>, number: i32, bytes: &[u8]) {
    let tag = u32::try_from(number).unwrap();
    prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, to);
    prost::encoding::encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Returns the size of a status in the trailers: the message is percent-encoded, the details are in base64.
fn trailer_bytes(status: &Status) -> usize {
    let message: usize = status.message().bytes().map(|b| if (b' '..=b'~').contains(&b) { 1 } else { 3 }).sum();
    message + status.details().len().div_ceil(3) * 4
}

/// Returns `true` if a terminal would obey the text, or if the text repeats a long input.
fn is_unprintable(text: &str, sent: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n') || (sent.len() > 1_000 && text.contains(sent))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_stays_short_and_printable_whatever_a_text_holds() {
    let (_folder, server, mut clients) = started().await;
    clients.create(Slot { display_name: "Offers".into(), ..slot("offers", &["a", "b"]) }).await.unwrap();
    let descriptors = ApiDescriptors::read();
    let mut client = tonic::client::Grpc::new(support::channel(&server.address).await);
    let texts = ["k".repeat(5_000), "é\"\\".repeat(1_250), "\u{1b}[2J\u{7}\r\n\u{9b}".to_owned()];
    let (mut calls, mut refused) = (0, 0);
    for (method, input) in &descriptors.methods {
        // Deleting the slot would make the other calls pointless.
        if method.ends_with("/DeleteSlot") {
            continue;
        }
        for sent in &texts {
            for (field, bytes) in descriptors.messages_with_text(input, sent, &mut Vec::new()) {
                client.ready().await.unwrap();
                let stream = tokio_stream::once(bytes);
                let path = PathAndQuery::try_from(method.as_str()).unwrap();
                let answer = client.streaming(tonic::Request::new(stream), path, BytesCodec).await;
                let status = match answer {
                    Err(status) => Some(status),
                    Ok(answer) => {
                        let mut answers = answer.into_inner();
                        loop {
                            match answers.message().await {
                                Ok(Some(_)) => {}
                                Ok(None) => break None,
                                Err(status) => break Some(status),
                            }
                        }
                    }
                };
                calls += 1;
                let Some(status) = status else { continue };
                refused += 1;
                let about = format!("{method} {field} ({} bytes): {}", sent.len(), status.message());
                let expected_codes =
                    [Code::InvalidArgument, Code::NotFound, Code::AlreadyExists, Code::FailedPrecondition];
                assert!(expected_codes.contains(&status.code()), "{about}: {:?}", status.code());
                assert!(trailer_bytes(&status) < 6_000, "{about}: {} bytes", trailer_bytes(&status));
                assert!(!is_unprintable(status.message(), sent), "{about}");
                let details = tonic_types::StatusExt::get_error_details(&status);
                let bad = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
                for violation in bad {
                    assert!(violation.field.len() < 300, "{about}: {}", violation.field);
                    assert!(
                        !is_unprintable(&violation.field, sent) && !is_unprintable(&violation.description, sent),
                        "{about}"
                    );
                }
            }
        }
    }
    assert!(calls > 300 && refused > 200, "{refused} of {calls}");
    server.stop().await;
}
