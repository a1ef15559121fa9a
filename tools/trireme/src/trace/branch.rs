//! The one branch of a trace that says why it failed, or where its time went.

use std::collections::HashSet;

use super::otlp::Span;

/// A span and what is decisive below it: of its children the one that failed, or else took longest, and so on to the last.
pub(super) fn branch<'a>(spans: &'a [Span], from: &'a Span) -> Vec<&'a Span> {
    let (mut branch, mut seen) = (vec![from], HashSet::from([&from.id]));
    let mut next = decisive(spans, from);
    // Ids come from outside: a circle must not hold us up.
    while let Some(span) = next.filter(|span| seen.insert(&span.id)) {
        branch.push(span);
        next = decisive(spans, span);
    }
    branch
}

fn decisive<'a>(spans: &'a [Span], of: &Span) -> Option<&'a Span> {
    // What was carried on later, in the background, took none of its time.
    let below = spans.iter().filter(|span| span.trace == of.trace && span.parent == of.id && span.start < of.end);
    below.max_by_key(|span| (span.failure.is_some(), span.end.saturating_sub(span.start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, took: u64) -> Span {
        let (id, parent) = (id.to_owned(), parent.to_owned());
        Span { trace: "t".into(), name: id.clone(), id, parent, end: took, ..Span::default() }
    }

    fn names(spans: &[Span]) -> Vec<&str> {
        branch(spans, &spans[0]).iter().map(|span| span.name.as_str()).collect()
    }

    #[test]
    fn it_goes_where_the_time_went_unless_something_failed() {
        let mut spans = [span("a", "", 9), span("b", "a", 1), span("c", "a", 8), span("d", "c", 7), span("e", "b", 1)];
        assert_eq!(names(&spans), ["a", "c", "d"]);
        spans[1].failure = Some("io".into());
        assert_eq!(names(&spans), ["a", "b", "e"]);
    }

    #[test]
    fn what_began_after_its_end_is_not_why() {
        let later = Span { start: 10, ..span("sweep", "a", 99) };
        assert_eq!(names(&[span("a", "", 9), later, span("b", "a", 2)]), ["a", "b"]);
    }

    #[test]
    fn a_circle_and_another_trace_lead_nowhere() {
        let other = Span { trace: "u".into(), ..span("x", "a", 9) };
        assert_eq!(names(&[span("a", "b", 9), span("b", "a", 1), other]), ["a", "b"]);
    }
}
