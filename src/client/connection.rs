//! Connection of a client: the channel, and what every call says about its caller.

use std::{path::PathBuf, time::Duration};

use tonic::{
    Request as Call, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig},
};

use super::{address::target_url, error::ClientError};
use crate::{
    slot::limits::MESSAGE_BYTES_MAX,
    wire::{
        SIMULATED,
        proto::{
            decision_service_client::DecisionServiceClient, draft_service_client::DraftServiceClient,
            event_service_client::EventServiceClient, feedback_service_client::FeedbackServiceClient,
            import_service_client::ImportServiceClient, insight_service_client::InsightServiceClient,
            item_service_client::ItemServiceClient, privacy_service_client::PrivacyServiceClient,
            slot_service_client::SlotServiceClient,
        },
    },
};

/// Time for the connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of a client's calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallOptions {
    /// Marks every call as one of a simulator. The service then refuses calls that would decide for, report to or
    /// change a slot for real shoppers.
    pub simulated: bool,
    /// Time to wait for each answer, or `None` to wait as long as it takes.
    pub timeout: Option<Duration>,
    /// Key or token that every call presents, or `None` for a service that asks for none.
    pub key: Option<String>,
    /// File in PEM with the authority of the service's certificate, or `None` to trust those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Interceptor that marks every call as [`CallOptions`] say, for programs that use the generated clients of
/// [`wire::proto`](crate::wire::proto) without a [`Client`].
#[derive(Debug, Clone)]
pub struct CallInterceptor {
    simulated: bool,
    authorization: Option<MetadataValue<Ascii>>,
}

impl CallInterceptor {
    /// Creates the interceptor.
    ///
    /// # Errors
    ///
    /// [`ClientError::Key`] if the key has characters that no key has.
    pub fn new(options: &CallOptions) -> Result<Self, ClientError> {
        let header = |key: &String| -> Result<MetadataValue<Ascii>, ClientError> {
            let mut header = MetadataValue::try_from(format!("Bearer {key}")).map_err(|_| ClientError::Key)?;
            header.set_sensitive(true);
            Ok(header)
        };
        let authorization = options.key.as_ref().map(header).transpose()?;
        Ok(Self { simulated: options.simulated, authorization })
    }
}

impl Interceptor for CallInterceptor {
    fn call(&mut self, mut call: Call<()>) -> Result<Call<()>, Status> {
        if self.simulated {
            call.metadata_mut().insert(SIMULATED, MetadataValue::from_static("true"));
        }
        if let Some(authorization) = &self.authorization {
            call.metadata_mut().insert("authorization", authorization.clone());
        }
        Ok(call)
    }
}

type Transport = InterceptedService<Channel, CallInterceptor>;

/// Client of a Slotwise service. Clones share one connection.
///
/// The [module](super) has a whole example.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) decisions: DecisionServiceClient<Transport>,
    pub(super) feedback: FeedbackServiceClient<Transport>,
    pub(super) events: EventServiceClient<Transport>,
    pub(super) slots: SlotServiceClient<Transport>,
    pub(super) drafts: DraftServiceClient<Transport>,
    pub(super) imports: ImportServiceClient<Transport>,
    pub(super) insight: InsightServiceClient<Transport>,
    pub(super) items: ItemServiceClient<Transport>,
    pub(super) privacy: PrivacyServiceClient<Transport>,
}

impl Client {
    /// Connects to the service at `target`, which may be written in any form that [`target_url`] reads.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`] if `target` is not an address, [`ClientError::Unreachable`] if no service answers there.
    pub async fn connect(target: &str) -> Result<Self, ClientError> {
        Self::connect_with(target, &CallOptions::default()).await
    }

    /// Connects to the service at `target` with options for every call.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect), [`ClientError::Key`] and [`ClientError::CaFile`].
    pub async fn connect_with(target: &str, options: &CallOptions) -> Result<Self, ClientError> {
        let interceptor = CallInterceptor::new(options)?;
        let url = target_url(target)?;
        let encrypted = url.starts_with("https://");
        let mut endpoint = Channel::from_shared(url).map_err(|_| ClientError::Address(target.to_owned()))?;
        if encrypted {
            let mut tls = ClientTlsConfig::new();
            tls = match &options.ca_file {
                None => tls.with_native_roots(),
                Some(file) => {
                    let pem = std::fs::read(file)
                        .map_err(|why| ClientError::CaFile { file: file.clone(), why: why.to_string() })?;
                    tls.ca_certificate(Certificate::from_pem(pem))
                }
            };
            let unusable = |why: tonic::transport::Error| {
                let file = options.ca_file.clone().unwrap_or_default();
                ClientError::CaFile { file, why: why.to_string() }
            };
            endpoint = endpoint.tls_config(tls).map_err(unusable)?;
        }
        let mut endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        if let Some(timeout) = options.timeout {
            endpoint = endpoint.timeout(timeout);
        }
        let channel = endpoint
            .connect()
            .await
            .map_err(|source| ClientError::Unreachable { target: target.to_owned(), source })?;
        let transport = InterceptedService::new(channel, interceptor);
        Ok(Self {
            decisions: DecisionServiceClient::new(transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            feedback: FeedbackServiceClient::new(transport.clone()),
            events: EventServiceClient::new(transport.clone()),
            slots: SlotServiceClient::new(transport.clone()),
            imports: ImportServiceClient::new(transport.clone()),
            drafts: DraftServiceClient::new(transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            insight: InsightServiceClient::new(transport.clone()),
            items: ItemServiceClient::new(transport.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            privacy: PrivacyServiceClient::new(transport),
        })
    }
}
