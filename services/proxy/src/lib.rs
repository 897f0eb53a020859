//! The model proxy: one OpenAI- and Anthropic-compatible endpoint in front of any number of model servers.
//!
//! A request comes in at [`surface`], is held to its key and to the limits ([`keys`]), finds its model and a replica
//! ([`routing`]) and is relayed ([`relay`]): its body is passed on as it was sent, except for the few members that a
//! backend needs otherwise ([`json`]), and its answer is passed on as it comes ([`sse`]), mended only where that kind
//! of backend ([`backends`]) is known to depart from the protocol. A stream that breaks is never made to look whole.
//!
//! Nothing here is started behind the caller's back: a request is one future, and dropping it at any point (which the
//! HTTP server does when a client leaves) closes the backend's connection and lets go of every place it held.
//!
//! Accounts go to a [`UsageSink`]. With a broker ([`Proxy::with_bus`]) keys come from the bucket of keys, backends and models
//! beside those of the settings from the bucket of models; what is in force is said in `GANTRY_PROXIES`. Limits of
//! keys are shared with other proxies through the bucket of limits, and their budgets counted from the stream of accounts.
//! Models of services that are started on demand come as offers of the leading scheduler (`GANTRY_OFFERS`); what requests
//! need of them is said in `GANTRY_SEATS`.

mod anthropic;
mod backends;
mod config;
mod error;
mod form;
mod json;
mod keys;
pub mod metrics;
mod overflow;
mod proxy;
mod relay;
mod routing;
mod run;
mod seats;
mod sse;
mod surface;
mod trace;
mod usage;

pub use backends::{Capability, DisconnectRule};
pub use config::{
    BackendConfig, Bounds, Config, FileError, FileSettings, KeyConfig, ModelConfig, OverflowConfig, RateConfig,
    ReplicaConfig, Timeouts, read_address,
};
pub use domain::keys::hash_key;
pub use domain::models::ModelTimeouts;
pub use keys::new_key;
pub use proxy::{Proxy, SetupError};
pub use routing::FleetError;
pub use run::{RunError, run, serve};
pub use surface::caller::KeyHolder;
pub use surface::front::Front;
pub use surface::headers::stamp;
pub use surface::openapi::describe;
pub use surface::router::{router, whole_router};
pub use usage::{Discard, Outcome, SharedSink, Tally, Usage, UsageSink};
