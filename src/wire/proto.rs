//! Generated types of `slotwise.v1`; in this crate only `wire` may name them.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated code"
)]

tonic::include_proto!("slotwise.v1");

/// Every descriptor of the API, for reflection.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("slotwise_descriptors");
