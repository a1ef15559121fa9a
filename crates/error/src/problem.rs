//! What clients are told of a problem: its name in each protocol, and what to do.

use crate::{Kind, Problem};

/// Where problems are described, on every service: the names follow.
const PATH: &str = "/problems/";

impl Problem {
    /// Returns the problem with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|problem| problem.name() == name)
    }

    /// Returns what stands for all failures of a kind about which nothing more is known.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Malformed => Self::BadRequest,
            Kind::Invalid => Self::InvalidFields,
            Kind::Unauthenticated => Self::TokenInvalid,
            Kind::Forbidden => Self::Forbidden,
            Kind::NotFound => Self::RouteNotFound,
            Kind::MethodNotAllowed => Self::MethodNotAllowed,
            Kind::AlreadyExists | Kind::Conflict => Self::StatusConflict,
            Kind::Precondition => Self::VersionMismatch,
            Kind::PreconditionRequired => Self::VersionRequired,
            Kind::TooLarge => Self::BodyTooLarge,
            Kind::UnsupportedMedia => Self::UnsupportedMediaType,
            Kind::RateLimited => Self::RateLimited,
            Kind::Timeout => Self::DeadlineExceeded,
            Kind::Unavailable => Self::Unavailable,
            Kind::Overloaded => Self::Overloaded,
            Kind::Internal => Self::Internal,
        }
    }

    /// Returns what it is for protocols and retries.
    pub fn kind(self) -> Kind {
        self.entry().kind
    }

    /// Returns its name: lower case, words joined by hyphens.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Returns its `type` in a problem document, which is also the path of its page.
    pub fn uri(self) -> String {
        format!("{PATH}{}", self.name())
    }

    /// Returns its name as `reason` of google.rpc.ErrorInfo and `code` of GraphQL, which are written in upper case.
    pub fn code(self) -> String {
        self.name().to_ascii_uppercase().replace('-', "_")
    }

    /// Returns its `title`, the same for all that meet it.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// Returns what it means, as a `detail` is written: lower case, no full stop.
    pub fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    /// Returns what a client does about it, in sentences.
    pub fn remedy(self) -> &'static str {
        self.entry().remedy
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_of_one_form() {
        let names: HashSet<_> = Problem::ALL.iter().map(|problem| problem.name()).collect();
        assert_eq!(names.len(), Problem::ALL.len());
        for problem in Problem::ALL {
            let name = problem.name();
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{name}");
            assert_eq!(Problem::named(name), Some(*problem));
        }
        assert_eq!(Problem::named("NOT-FOUND"), None);
    }

    /// `google/rpc/error_details.proto`: at most 63 characters of `[A-Z][A-Z0-9_]+[A-Z0-9]`.
    #[test]
    fn codes_are_reasons_as_google_writes_them() {
        assert_eq!(Problem::InsufficientStock.code(), "INSUFFICIENT_STOCK");
        for code in Problem::ALL.iter().map(|problem| problem.code()) {
            assert!(code.len() <= 63 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{code}");
            assert!(!code.starts_with('_') && !code.ends_with('_'), "{code}");
        }
    }

    #[test]
    fn words_are_written_as_they_are_shown() {
        for problem in Problem::ALL {
            let (meaning, remedy) = (problem.meaning(), problem.remedy());
            assert!(!meaning.ends_with('.') && meaning.starts_with(char::is_lowercase), "{meaning}");
            assert!(remedy.ends_with('.') && !problem.title().ends_with('.'), "{remedy}");
        }
    }

    #[test]
    fn what_stands_for_a_kind_has_its_status() {
        for kind in Kind::ALL {
            assert_eq!(Problem::of(kind).kind().http(), kind.http(), "{kind:?}");
        }
    }
}
