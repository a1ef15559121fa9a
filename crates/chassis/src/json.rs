//! Strict JSON: every fault of a body at once, each with the pointer of the field itself.
//!
//! Derived deserialisers stop at the first fault and name a missing field by its parent. Here a body is parsed into a
//! [`Node`] that keeps duplicate members and tells integers from floats, and is then read field by field:
//!
//! ```
//! use chassis::json::{self, Node};
//!
//! let body = json::parse(br#"{"name": "tea", "price": {"amount": 1.0}, "colour": 1}"#)?;
//! let name = |text: &str| if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) };
//! let refused = body.read(|product| {
//!     let name = product.required("name", json::text(name));
//!     let amount = product.object("price", |price| price.required("amount", json::integer(Ok::<_, String>)));
//!     let stock = product.required("stock", json::integer(Ok::<_, String>));
//!     Some((name?, amount?, stock?))
//! });
//! let faults = refused.unwrap_err();
//! assert_eq!(faults.violations().len(), 3); // /price/amount, /stock, /colour
//! # Ok::<(), error::Error>(())
//! ```

mod node;
mod object;

pub use self::{
    node::{Node, parse},
    object::Object,
};

use std::fmt::Display;

/// Reads text without control characters and hands it to `parse`.
pub fn text<T, E: Display>(parse: impl FnOnce(&str) -> Result<T, E>) -> impl FnOnce(&Node) -> Result<T, String> {
    checked_text(char::is_control, parse)
}

/// Reads text in which line breaks and tabs are allowed, but no other control characters.
pub fn multiline<T, E: Display>(parse: impl FnOnce(&str) -> Result<T, E>) -> impl FnOnce(&Node) -> Result<T, String> {
    checked_text(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'), parse)
}

fn checked_text<T, E: Display>(
    refused: impl Fn(char) -> bool,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> impl FnOnce(&Node) -> Result<T, String> {
    move |node| match node {
        Node::Text(text) if text.contains(&refused) => Err("must not contain control characters".to_owned()),
        Node::Text(text) => parse(text).map_err(|fault| fault.to_string()),
        _ => Err("must be a string".to_owned()),
    }
}

/// Reads an integer (`1.0` is none) and hands it to `parse`.
pub fn integer<T, E: Display>(parse: impl FnOnce(i64) -> Result<T, E>) -> impl FnOnce(&Node) -> Result<T, String> {
    move |node| match node {
        Node::Integer(value) => {
            let value = i64::try_from(*value).map_err(|_| "is out of range".to_owned())?;
            parse(value).map_err(|fault| fault.to_string())
        }
        _ => Err("must be an integer".to_owned()),
    }
}
