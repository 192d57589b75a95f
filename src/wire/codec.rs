//! The codec of every method: prost's, whose decoding errors are ours.
//!
//! Bytes that are no such message are the caller's mistake, so they are answered
//! `INVALID_ARGUMENT` with details, like any other malformed field.

use prost::Message;
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

use super::error;
use crate::slot::FieldError;

/// Encodes `T`, decodes `U`.
#[derive(Debug, Clone)]
pub struct MessageCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for MessageCodec<T, U>
where
    ProstCodec<T, U>: Default,
{
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<<ProstCodec<T, U> as Codec>::Encoder>;
    type Decoder = MessageDecoder<<ProstCodec<T, U> as Codec>::Decoder>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder(self.0.encoder())
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(self.0.decoder())
    }
}

/// See [`MessageCodec`].
#[derive(Debug)]
pub struct MessageEncoder<E>(E);

impl<E: Encoder<Error = Status>> Encoder for MessageEncoder<E> {
    type Item = E::Item;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.0.encode(item, buffer)
    }
}

/// See [`MessageCodec`].
#[derive(Debug)]
pub struct MessageDecoder<D>(D);

impl<D: Decoder<Error = Status>> Decoder for MessageDecoder<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        self.0.decode(buffer).map_err(|status| {
            if status.code() != Code::Internal {
                return status;
            }
            // Prost says in its text which message and field it stumbled over: "…: DecideRequest.slot_id: …".
            let field = status.message().split(": ").find_map(|part| part.split_once('.')).map(|(_, field)| field);
            let field = field.filter(|field| field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
            error::field(&FieldError::new(
                field.unwrap_or("message"),
                format!("cannot be decoded ({}); send a message of this method's type", status.message()),
            ))
        })
    }
}
