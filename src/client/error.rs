//! Errors of the client.

use std::{path::PathBuf, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Reason why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No service answers at the address.
    #[error("no Slotwise answers at {target}; start one with `slotwise serve`, or give another --target")]
    Unreachable {
        /// Address as it was given.
        target: String,
        /// Reason.
        #[source]
        source: tonic::transport::Error,
    },
    /// The text is not the address of a service.
    #[error("'{0}' is not an address of a service; write it as 127.0.0.1:50051 or https://shop.internal:50051")]
    Address(String),
    /// The service refused the call.
    #[error("{}", refusal_text(.0))]
    Refused(Box<Status>),
    /// The key has characters that no key has.
    #[error("the key has characters that no key has; give it as `slotwise keys create` printed it")]
    Key,
    /// The authority of the service's certificate cannot be used.
    #[error("cannot use the authority of the service's certificate {}: {why}", file.display())]
    CaFile {
        /// File as it was given, or empty for the authorities of the system.
        file: PathBuf,
        /// Reason.
        why: String,
    },
    /// The address is that of a server that does not speak gRPC.
    #[error(
        "what answers there is no gRPC port; give the service's gRPC port with --target (50051 by default, not the HTTP port)"
    )]
    NotGrpc,
    /// The answer does not have the form that it should have.
    #[error("the service's answer cannot be read: {0}")]
    Answer(String),
}

/// Returns what a refusal says, in words of those who use the client or the command line: they send no headers by hand.
fn refusal_text(status: &Status) -> String {
    let details = status.get_error_details();
    match details.error_info().map(|info| info.reason.as_str()) {
        Some("KEY_MISSING") => {
            "the call has no key; give one with --api-key KEY, or in the variable SLOTWISE_API_KEY".to_owned()
        }
        Some("KEY_UNKNOWN") => {
            "the service does not know the key; check the one of --api-key, or of the variable SLOTWISE_API_KEY"
                .to_owned()
        }
        _ => status.message().to_owned(),
    }
}

impl ClientError {
    /// Time after which the same call is worth another try, or `None` if the service did not give one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status) => status.get_details_retry_info()?.retry_delay,
            Self::Unreachable { .. }
            | Self::Address(_)
            | Self::Key
            | Self::CaFile { .. }
            | Self::NotGrpc
            | Self::Answer(_) => None,
        }
    }

    /// Returns `true` if the slot or the decision does not exist.
    pub fn not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::NotFound)
    }

    /// Returns `true` if the slot that was to be created exists already.
    pub fn exists(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code() == Code::AlreadyExists)
    }

    /// Path of the field at fault, or `None` if the service named none.
    pub fn field(&self) -> Option<String> {
        let Self::Refused(status) = self else { return None };
        status.get_details_bad_request()?.field_violations.into_iter().next().map(|violation| violation.field)
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        // An HTTP server that is no gRPC server answers without a status of gRPC.
        if status.message().contains("grpc-status header missing") {
            return Self::NotGrpc;
        }
        Self::Refused(Box::new(status))
    }
}
