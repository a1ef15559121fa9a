//! The address of the client.

use std::{convert::Infallible, net::IpAddr};

use axum::{extract::OptionalFromRequestParts, http::request::Parts};

/// The address that a request came from; that of the client also where proxies stand before the service
/// (`limits.trusted_proxies`). Also an extension of requests over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(address)
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

/// `None` where there is no connection, as in a test of a router.
impl<S: Sync> OptionalFromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied())
    }
}
