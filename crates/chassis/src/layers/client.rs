//! Who asks: the address of the client, also behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::Response,
};

use crate::{connection::Peer, http::ClientAddress};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Notes the client's address in the request, where it is known.
pub(super) async fn address(State(proxies): State<usize>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get().map(|Peer(address)| *address);
    if let Some(address) = forwarded(request.headers(), proxies).or(peer) {
        request.extensions_mut().insert(ClientAddress::new(address));
    }
    next.run(request).await
}

/// Each proxy appends the address that it was asked from. What stands before those of our own says whoever asked them.
fn forwarded(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let nth_last = proxies.checked_sub(1)?;
    let values = headers.get_all(FORWARDED_FOR).iter().rev();
    let addresses = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
    let address = addresses.into_iter().nth(nth_last)?.trim();
    address.parse().or_else(|_| address.parse().map(|address: SocketAddr| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn behind(proxies: usize, values: &[&'static str]) -> Option<String> {
        let headers = values.iter().map(|value| (FORWARDED_FOR, HeaderValue::from_static(value))).collect();
        forwarded(&headers, proxies).map(|address| address.to_string())
    }

    #[test]
    fn a_client_is_who_the_first_of_our_proxies_was_asked_by() {
        let values = ["198.51.100.9, 192.0.2.1", "192.0.2.2"];
        assert_eq!(behind(0, &values), None, "nobody is believed");
        assert_eq!(behind(1, &values).unwrap(), "192.0.2.2");
        assert_eq!(behind(2, &values).unwrap(), "192.0.2.1");
        assert_eq!(behind(4, &values), None, "it did not come through all of them");
        assert_eq!(behind(1, &["[2001:db8::1]:443"]).unwrap(), "2001:db8::1");
        assert_eq!(behind(1, &["192.0.2.1:443"]).unwrap(), "192.0.2.1");
        assert_eq!(behind(1, &["unknown"]), None);
    }
}
