//! The order of an answer's fields: that of the document (GraphQL, 7.2.2).
//!
//! The fields of a query are executed together, and async-graphql has each in the answer when it is there.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, Value,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

/// The names of the fields at the root, where the document has each of them first.
pub(super) fn names(document: &ExecutableDocument, root: &Positioned<SelectionSet>) -> Vec<Name> {
    let mut names = Names { document, fragments: HashSet::new(), found: Vec::new() };
    names.find(root);
    names.found
}

/// Puts the fields of an answer in the order of their names.
pub(super) fn arrange(data: &mut Value, names: &[Name]) {
    if let Value::Object(fields) = data {
        fields.sort_by_cached_key(|field, _| names.iter().position(|name| name == field));
    }
}

struct Names<'a> {
    document: &'a ExecutableDocument,
    /// Each is looked at once: a second time it has nothing new.
    fragments: HashSet<&'a Name>,
    found: Vec<Name>,
}

impl<'a> Names<'a> {
    fn find(&mut self, selection: &'a Positioned<SelectionSet>) {
        for item in &selection.node.items {
            match &item.node {
                Selection::Field(field) => {
                    let name = &field.node.response_key().node;
                    if !self.found.contains(name) {
                        self.found.push(name.clone());
                    }
                }
                Selection::InlineFragment(inline) => self.find(&inline.node.selection_set),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = self.document.fragments.get(name)
                        && self.fragments.insert(name)
                    {
                        self.find(&fragment.node.selection_set);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn of(text: &str) -> Vec<Name> {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        names(&document, &operation.node.selection_set)
    }

    #[test]
    fn a_field_has_its_first_place_under_the_name_of_the_answer() {
        let text = "{ b ... { c a: d } ...F b } fragment F on Q { e ...G a } fragment G on Q { ...F f }";
        assert_eq!(of(text), ["b", "c", "a", "e", "f"]);
    }

    #[test]
    fn fragments_that_multiply_are_looked_at_once() {
        let text = (0..40).fold("{ ...F0 }".to_owned(), |text, n| {
            format!("{text} fragment F{n} on Q {{ ...F{m} ...F{m} f{n} }}", m = n + 1)
        });
        assert_eq!(of(&text).len(), 40);
    }

    #[test]
    fn what_is_not_there_has_no_place() {
        let (a, c) = (Name::new("a"), Name::new("c"));
        let mut data = Value::Object([(c.clone(), Value::Null), (a.clone(), Value::Null)].into_iter().collect());
        arrange(&mut data, &of("{ a b c }"));
        let Value::Object(fields) = data else { panic!("{data}") };
        assert_eq!(fields.into_keys().collect::<Vec<_>>(), [a, c]);
    }
}
