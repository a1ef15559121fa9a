//! What is said of a token that does not count.

use error::{Error, Problem};

/// Refuses an access token, and says why.
pub(crate) fn refused(why: &'static str) -> Error {
    Error::new(Problem::TokenInvalid, format!("the access token {why}"))
}
