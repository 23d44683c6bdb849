//! How AWS is reached: region, credentials, connections, time limits.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use engine::port::Secret;

/// One set of connections under one identity.
#[derive(Clone, Debug)]
pub struct Access {
    config: SdkConfig,
}

/// How long a connection may take to stand.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long the first byte of an answer may take: every lease leaves room for several of these.
const READ: Duration = Duration::from_secs(10);
/// How long one call may take with its payload.
const CALL: Duration = Duration::from_secs(30);

impl Access {
    /// Uses fixed credentials, as the environment of a function or of an operator has them.
    ///
    /// `endpoint` is somewhere else than AWS: an emulator.
    pub fn new(
        region: String,
        endpoint: Option<String>,
        (key, secret): (&str, &Secret),
        token: Option<&Secret>,
    ) -> Self {
        let text = |secret: &Secret| secret.expose_text().unwrap_or_default().to_owned();
        let credentials = Credentials::new(key, text(secret), token.map(text), None, "environment");
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
        let limits =
            TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(READ).operation_timeout(CALL).build();
        let mut config = SdkConfig::builder()
            .region(Region::new(region))
            .behavior_version(aws_smithy_runtime_api::client::behavior_version::BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .timeout_config(limits);
        config.set_endpoint_url(endpoint);
        Self { config: config.build() }
    }

    /// The same connections under another identity.
    #[cfg(feature = "session")]
    pub(crate) fn identified(&self, credentials: SharedCredentialsProvider) -> Self {
        Self { config: self.config.to_builder().credentials_provider(credentials).build() }
    }

    /// Whether this is an emulator rather than AWS.
    #[cfg(feature = "blobs")]
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.config.endpoint_url().is_some()
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}
