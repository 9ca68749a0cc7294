//! The GO Feature Flag provider for the OpenFeature Rust SDK.
#![doc = ""]
#![doc = include_str!("../../../README.md")]

mod provider;

pub use provider::{GoFeatureFlagProvider, PROVIDER_NAME, SPECIFICATION_VERSION};

pub use goff_client::{
    Attribute, Connect, ContextView, ErrorCode, EvaluationContext, EvaluationDetails, FlagType,
    GoFeatureFlag, GoFeatureFlagOptions, InitializeError, OptionsError, Reason, RelayClient,
    RelayError, Resolution, ResolutionError, Status, attribute,
};
#[cfg(feature = "http")]
pub use goff_client::{HttpTransport, RemoteProtocol, TlsOptions};
pub use goff_core::{FLAG_DISABLED, NULL_VALUE, is_disabled};
