//! HTTP, gRPC, events and tasks: they translate and nothing else.

pub mod events;
pub mod grpc;
pub mod http;
pub mod tasks;

use std::sync::Arc;

use auth::{Callers, Verifier};
use axum::extract::FromRef;

use crate::app::App;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// The use cases.
    pub app: Arc<App>,
    /// Knows people by their access tokens.
    pub verifier: Verifier,
    /// Knows services by their credentials.
    pub callers: Callers,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

impl FromRef<Api> for Callers {
    fn from_ref(api: &Api) -> Self {
        api.callers.clone()
    }
}
