//! From the URL to what it says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::Error;

/// What a URL says: `http[s]://[USER:PASSWORD@]HOST[:PORT][/PATH][?prefix=NAME]`.
pub(crate) struct Address {
    /// Without login and parameters.
    pub(crate) base: String,
    /// What all names on the server begin with.
    pub(crate) prefix: String,
    /// The header `Authorization`.
    pub(crate) login: Option<HeaderValue>,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let no_address = || Error::Url("no search server: write http://HOST:9200 or https://USER:PASSWORD@HOST:9200");
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (scheme, rest) = address.split_once("://").ok_or_else(no_address)?;
        let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login), host));
        let base = format!("{scheme}://{}", host.trim_end_matches('/'));
        let uri: Uri = base.parse().map_err(|_| no_address())?;
        if !matches!(scheme, "http" | "https") || uri.host().is_none_or(str::is_empty) {
            return Err(no_address());
        }
        let prefix = match query.split_once('=') {
            None if query.is_empty() => "trireme",
            Some(("prefix", name)) if is_name(name) => name,
            _ => return Err(Error::Url("prefix=NAME is all that may follow; a name is a-z, 0-9, - and _")),
        };
        let login = login.map(|login| basic(login).ok_or_else(no_address)).transpose()?;
        Ok(Self { base, prefix: prefix.to_owned(), login })
    }
}

/// Basic authentication (RFC 7617).
fn basic(login: &str) -> Option<HeaderValue> {
    let login = percent_decode_str(login).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(login.as_bytes()))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(fits) && name.as_bytes()[0].is_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_taken_out_of_the_address() {
        let address = Address::parse("https://shop:p%40ss@search.shop:9200/?prefix=shop-1").unwrap();
        assert_eq!((address.base.as_str(), address.prefix.as_str()), ("https://search.shop:9200", "shop-1"));
        assert_eq!(address.login.unwrap(), format!("Basic {}", STANDARD.encode("shop:p@ss")));
        let plain = Address::parse("http://localhost:9200").unwrap();
        assert_eq!((plain.prefix.as_str(), plain.login.is_none()), ("trireme", true));
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for bad in ["", "localhost:9200", "ftp://h", "http://", "http://h?prefix=A", "http://h?prefix=", "http://h?x=y"]
        {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let error = Address::parse("ftp://u:secret@h").err().unwrap();
        assert!(!error.to_string().contains("secret"));
    }
}
