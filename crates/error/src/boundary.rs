//! The error that leaves a service.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::{Kind, Location, Problem, Violation};

/// The boxed cause of an [`Error`].
type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failure at the boundary: the problem, what the caller is told, and the cause that only the log sees.
#[derive(Debug)]
pub struct Error {
    problem: Problem,
    detail: Cow<'static, str>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

/// Says what a layer's own failure means at the boundary.
///
/// With it, `?` turns the layer's error into an [`Error`]: its message is shown where the caller is at fault and
/// kept back otherwise, and the layer's error is the source.
pub trait HasProblem {
    /// Returns the problem that the caller meets.
    fn problem(&self) -> Problem;

    /// Returns the problem's kind.
    fn kind(&self) -> Kind {
        self.problem().kind()
    }

    /// Returns the fields at fault, where there are any.
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }

    /// Returns when to come back, where that is known.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl<E> From<E> for Error
where
    E: HasProblem + std::error::Error + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let problem = error.problem();
        let shown = problem.kind().is_client_fault();
        let detail: Cow<'static, str> = if shown { error.to_string().into() } else { problem.meaning().into() };
        let (violations, retry_after) = (error.violations(), error.retry_after());
        Self { violations, retry_after, ..Self::new(problem, detail).with_source(error) }
    }
}

impl Error {
    /// Makes an error with the message that the caller is shown (never shown for [`Problem::Internal`]).
    pub fn new(problem: Problem, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { problem, detail: detail.into(), violations: Vec::new(), retry_after: None, source: None }
    }

    /// Makes an error about which there is nothing more to say than what the problem means.
    pub fn of(problem: Problem) -> Self {
        Self::new(problem, problem.meaning())
    }

    /// Makes an error for our own mistake; `source` goes to the log and nowhere else.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::of(Problem::Internal).with_source(source)
    }

    /// Makes an error for a document that reads but does not fit, with everything that is wrong with it.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self { violations, ..Self::new(Problem::InvalidFields, "the request has fields that do not fit") }
    }

    /// Makes an error for one field that does not fit; `pointer` as in RFC 6901.
    pub fn invalid_field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Violation::field(pointer, detail)])
    }

    /// Makes an error for a header that is missing or cannot be read.
    pub fn malformed_header(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Problem::MalformedHeader, "a header of the request cannot be used")
            .at(Location::Header(name.into()), detail)
    }

    /// Makes an error for a query parameter that cannot be read.
    pub fn malformed_parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Problem::MalformedParameter, "a parameter of the request cannot be used")
            .at(Location::Parameter(name.into()), detail)
    }

    /// Makes an error for a thing that does not exist or that the caller may not see.
    pub fn not_found(what: &str) -> Self {
        Self::new(Problem::NotFound, format!("there is no such {what}"))
    }

    /// Makes an error for something that is needed and down.
    pub fn unavailable(what: &str) -> Self {
        Self::new(Problem::Unavailable, format!("{what} is not available at the moment"))
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a violation at a location of the request.
    #[must_use]
    pub fn at(mut self, location: Location, detail: impl Into<String>) -> Self {
        self.violations.push(Violation::new(location, detail));
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Returns what the caller meets.
    pub fn problem(&self) -> Problem {
        self.problem
    }

    /// Returns the problem's kind.
    pub fn kind(&self) -> Kind {
        self.problem.kind()
    }

    /// Returns what the caller may be told: the message given, or, for our own mistakes, a generic one.
    pub fn detail(&self) -> &str {
        if self.kind() == Kind::Internal { self.problem.meaning() } else { &self.detail }
    }

    /// Returns what of the request is at fault.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Returns when to come back: what was said, or 1 s where the kind asks for it.
    pub fn retry_delay(&self) -> Option<Duration> {
        let asked = matches!(self.kind(), Kind::Timeout | Kind::Unavailable | Kind::Overloaded | Kind::RateLimited);
        self.retry_after.or_else(|| asked.then_some(Duration::from_secs(1)))
    }

    /// Returns the error and its causes in one line, for the log.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes in one line, for operators.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(Problem);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("table users: constraint failed")
        }
    }

    impl std::error::Error for Layer {}

    impl HasProblem for Layer {
        fn problem(&self) -> Problem {
            self.0
        }
    }

    #[test]
    fn a_layers_message_reaches_the_caller_only_when_the_caller_is_at_fault() {
        assert_eq!(Error::from(Layer(Problem::StatusConflict)).detail(), "table users: constraint failed");
        for problem in [Problem::Internal, Problem::Unavailable, Problem::DeadlineExceeded] {
            let error = Error::from(Layer(problem));
            assert!(!error.detail().contains("users"), "{problem:?}");
            assert!(error.chain().contains("constraint failed"));
        }
    }

    #[test]
    fn the_detail_of_our_own_mistake_is_never_shown() {
        let error = Error::new(Problem::Internal, "password of the database is 1234");
        assert_eq!(error.detail(), "something went wrong on our side");
    }

    #[test]
    fn a_503_and_a_504_say_when_to_come_back_and_a_404_does_not() {
        assert_eq!(Error::unavailable("payment").retry_delay(), Some(Duration::from_secs(1)));
        assert_eq!(Error::of(Problem::DeadlineExceeded).retry_delay(), Some(Duration::from_secs(1)));
        assert_eq!(Error::not_found("order").retry_delay(), None);
    }

    #[test]
    fn the_chain_names_every_cause() {
        let io = std::io::Error::other("disk full");
        let error = Error::internal(Error::new(Problem::Internal, "commit").with_source(io));
        assert_eq!(error.chain(), "something went wrong on our side: commit: disk full");
    }
}
