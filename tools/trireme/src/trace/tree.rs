//! Which span stands under which: under its parent, and what is linked to a span of the trace under that.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::otlp::Span;

/// A span at its place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) span: &'a Span,
    /// The branches that lead to it, such as `│ └ `.
    pub(super) branches: String,
}

/// The spans of a trace and what is linked to it, from top to bottom. Whose parent is not there stands at the top.
pub(super) fn rows<'a>(spans: &'a [Span], trace: &str) -> Vec<Row<'a>> {
    let known: HashMap<&str, &Span> =
        spans.iter().filter(|span| span.trace == trace).map(|span| (span.id.as_str(), span)).collect();
    let mut below: BTreeMap<Option<&str>, Vec<&Span>> = BTreeMap::new();
    for span in spans {
        let above = if span.trace == trace { Some(span.parent.as_str()) } else { linked(span, trace) };
        let above = above.filter(|id| known.contains_key(id) && *id != span.id);
        below.entry(above).or_default().push(span);
    }
    for siblings in below.values_mut() {
        siblings.sort_by_key(|span| (span.start, span.end));
    }
    let (mut rows, mut placed) = (Vec::with_capacity(spans.len()), HashSet::new());
    let top = below.get(&None).cloned().unwrap_or_default();
    let mut waiting: Vec<(&Span, String, bool)> =
        top.into_iter().rev().map(|span| (span, String::new(), true)).collect();
    while let Some((span, stem, is_top)) = waiting.pop() {
        // Ids come from outside: a circle must not hold us up.
        if !placed.insert((&span.trace, &span.id)) {
            continue;
        }
        let last = waiting.last().is_none_or(|(_, next, next_is_top)| *next != stem || *next_is_top != is_top);
        let (branch, below_it) = match (is_top, last) {
            (true, _) => ("", ""),
            (false, true) => ("└ ", "  "),
            (false, false) => ("├ ", "│ "),
        };
        rows.push(Row { span, branches: format!("{stem}{branch}") });
        let own = (span.trace == trace).then(|| below.get(&Some(span.id.as_str()))).flatten();
        let stem = format!("{stem}{below_it}");
        waiting.extend(own.into_iter().flatten().rev().map(|span| (*span, stem.clone(), false)));
    }
    rows
}

/// The span of the trace that another trace's span is linked to.
fn linked<'a>(span: &'a Span, trace: &str) -> Option<&'a str> {
    span.links.iter().find(|(of, _)| of == trace).map(|(_, id)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, start: u64) -> Span {
        let (id, parent, name) = (id.to_owned(), parent.to_owned(), id.to_owned());
        Span { trace: "t".into(), id, parent, name, start, end: start + 1, ..Span::default() }
    }

    fn shown(spans: &[Span]) -> Vec<String> {
        rows(spans, "t").iter().map(|row| format!("{}{}", row.branches, row.span.name)).collect()
    }

    #[test]
    fn children_stand_under_their_parents_in_the_order_of_time() {
        let spans =
            [span("d", "b", 4), span("c", "a", 3), span("b", "a", 2), span("a", "outside", 1), span("e", "d", 5)];
        assert_eq!(shown(&spans), ["a", "├ b", "│ └ d", "│   └ e", "└ c"]);
    }

    #[test]
    fn what_is_linked_stands_under_what_it_is_linked_to() {
        let links = vec![("other".to_owned(), "x".to_owned()), ("t".to_owned(), "a".to_owned())];
        let publish = Span { trace: "u".into(), links, ..span("p", "q", 9) };
        assert_eq!(shown(&[span("a", "", 1), publish, span("b", "a", 2)]), ["a", "├ b", "└ p"]);
    }

    #[test]
    fn orphans_are_shown_and_circles_hold_up_nobody() {
        let spans = [span("a", "", 1), span("b", "gone", 2), span("c", "d", 3), span("d", "c", 3), span("e", "e", 4)];
        assert_eq!(shown(&spans), ["a", "b", "e"]);
    }
}
