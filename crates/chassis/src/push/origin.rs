//! Which pages may open a WebSocket: browsers ask nobody before they do, so it is looked at here (RFC 6455, 10.2).

use error::{Error, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

/// Refuses a page of an origin that is neither configured nor our own. Who is no browser sends none.
pub(super) fn check(headers: &HeaderMap, origins: &[String]) -> Result<(), Error> {
    let text = |name: HeaderName| headers.get(name).map(HeaderValue::to_str);
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let host = text(header::HOST).and_then(Result::ok).unwrap_or_default();
    let allowed = origin.is_ok_and(|origin| is_own(origin, host) || origins.iter().any(|known| known == origin));
    if allowed { Ok(()) } else { Err(Error::new(Problem::OriginNotAllowed, "pages of this origin may not connect")) }
}

fn is_own(origin: &str, host: &str) -> bool {
    let authority = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned());
    authority.is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_are_refused() {
        let origins = ["https://shop.example".to_owned()];
        let allowed = |origin: &'static str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            headers.insert(header::HOST, HeaderValue::from_static(host));
            check(&headers, &origins).is_ok()
        };
        assert!(check(&HeaderMap::new(), &[]).is_ok(), "no browser");
        assert!(allowed("https://shop.example", "api.example") && allowed("http://localhost:8080", "localhost:8080"));
        for other in ["https://shop.example.evil", "http://shop.example", "https://api.example:444", "null", ""] {
            assert!(!allowed(other, "api.example"), "{other}");
        }
    }
}
