//! What is wrong with a token that does not count: said to whoever shows it, and counted.

use std::sync::LazyLock;

use error::{Error, Problem};
use opentelemetry::metrics::Counter;
use semconv::{attributes, metrics};

static REFUSALS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::AUTH_TOKEN_REFUSALS.instrument());

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLong,
    Unreadable,
    OtherType,
    NoKey,
    UnknownKey,
    OtherAlgorithm,
    Invalid,
    NoSubject,
    NoExpiry,
    NotYet,
    Expired,
}

impl Refusal {
    /// Its name in a metric.
    fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Unreadable => "unreadable",
            Self::OtherType => "other_type",
            Self::NoKey => "no_key",
            Self::UnknownKey => "unknown_key",
            Self::OtherAlgorithm => "other_algorithm",
            Self::Invalid => "invalid",
            Self::NoSubject => "no_subject",
            Self::NoExpiry => "no_expiry",
            Self::NotYet => "not_yet",
            Self::Expired => "expired",
        }
    }

    /// The end of a sentence that begins with "the access token".
    fn text(self) -> &'static str {
        match self {
            Self::TooLong => "is too long",
            Self::Unreadable => "cannot be read",
            Self::OtherType => "is of another type",
            Self::NoKey => "names no key",
            Self::UnknownKey => "is signed with an unknown key",
            Self::OtherAlgorithm => "is not signed the right way",
            Self::Invalid => "is not valid",
            Self::NoSubject => "names nobody",
            Self::NoExpiry => "has no usable expiry",
            Self::NotYet => "does not count yet",
            Self::Expired => "has expired",
        }
    }
}

/// Refuses an access token, says why, and counts it.
pub(crate) fn refused(why: Refusal) -> Error {
    REFUSALS.add(1, &[attributes::AUTH_REFUSAL.of(why.name())]);
    let problem = if why == Refusal::Expired { Problem::TokenExpired } else { Problem::TokenInvalid };
    Error::new(problem, format!("the access token {}", why.text()))
}
