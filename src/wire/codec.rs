//! Codec of every method: prost's codec with our own decoding errors.
//!
//! Bytes that do not decode are the caller's mistake. They are answered with `INVALID_ARGUMENT` and details, like any
//! other malformed field.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf as _};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

use super::{error, undecodable};
use crate::slot::FieldError;

/// Codec that encodes `T` and decodes `U`.
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
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        MessageEncoder(self.0.encoder())
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Encoder of a [`MessageCodec`].
#[derive(Debug)]
pub struct MessageEncoder<E>(E);

impl<E: Encoder<Error = Status>> Encoder for MessageEncoder<E> {
    type Item = E::Item;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.0.encode(item, buffer)
    }
}

/// Decoder of a [`MessageCodec`].
#[derive(Debug)]
pub struct MessageDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let mut rest = &bytes[..];
        U::decode(&mut rest).map(Some).map_err(|why| {
            let why = why.to_string();
            let field = undecodable::path(&why, &bytes, bytes.len() - rest.len());
            // Prost names every level, of which a payload may have a hundred, so only the innermost cause is kept.
            let cause = why.rsplit(": ").next().unwrap_or_default();
            error::field(&FieldError::new(
                if field.is_empty() { "message" } else { &field },
                format!("cannot be decoded ({cause}); send a message of this method's type"),
            ))
        })
    }
}
