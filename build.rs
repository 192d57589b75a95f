//! Compiles `proto/` with protox (pure Rust: the machine needs no `protoc`) and
//! generates the messages, the service stubs, and the descriptor set that
//! reflection serves.
#![expect(clippy::disallowed_methods, reason = "cargo hands a build script its output folder in OUT_DIR")]

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let api = protox::compile(
        [
            "slotwise/v1/decision.proto",
            "slotwise/v1/feedback.proto",
            "slotwise/v1/event.proto",
            "slotwise/v1/slot.proto",
            "slotwise/v1/draft.proto",
            "slotwise/v1/import.proto",
            "slotwise/v1/item.proto",
            "slotwise/v1/learning.proto",
            "slotwise/v1/controls.proto",
            "slotwise/v1/rule.proto",
            "slotwise/v1/insight.proto",
            "slotwise/v1/preview.proto",
            "slotwise/v1/explain.proto",
            "slotwise/v1/privacy.proto",
        ],
        ["proto"],
    )?;
    fs::write(out.join("slotwise_descriptors.bin"), api.encode_to_vec())?;
    // The error of one request of a batch is the type that tonic's own error details are made of.
    tonic_prost_build::configure()
        .codec_path("crate::wire::MessageCodec")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(api)?;

    let log = protox::compile(["slotwise/log/v1/event.proto"], ["proto"])?;
    tonic_prost_build::configure().build_client(false).build_server(false).compile_fds(log)?;
    Ok(())
}
