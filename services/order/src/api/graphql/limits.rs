//! What a document may ask for, checked before anything of it is executed.
//!
//! The size of a document says nothing about what it costs: fragments multiply, and so do lists. What is counted here is
//! counted with all fragments in place, each of which is looked at once; prices are on the fields of the schema.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value, Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
    },
};
use error::{Error, Problem};

/// The longest document, in bytes.
const MAX_DOCUMENT: usize = 16 * 1024;
/// The most names and numbers, in whatever place: what the parser takes its time for.
const MAX_WORDS: usize = 1_500;
/// The most brackets that a document opens: what bounds how deep the parser goes.
const MAX_BRACKETS: usize = 200;
/// The most fragments that a document defines.
const MAX_FRAGMENTS: usize = 50;
/// The most fields below each other.
const MAX_DEPTH: usize = 16;
/// The most fields, aliases and directives.
const MAX_FIELDS: usize = 500;
const MAX_ALIASES: usize = 30;
const MAX_DIRECTIVES: usize = 30;
/// The most values in the variables of a request: lists, objects, and what is in them. The largest order has 155.
const MAX_VALUES: usize = 300;
/// The most that a document may cost: about a page of 100 orders with everything that is to be known of them.
pub(super) const MAX_PRICE: usize = 10_000;
/// How async-graphql says that a document costs more. An extension could say it in our words, but with an extension each
/// field takes a slower way.
const TOO_DEAR: &str = "Query is too complex.";

/// Parses a document.
///
/// # Errors
/// It is too large, or none.
pub(super) fn parse(text: &str) -> Result<ExecutableDocument, Error> {
    at_most("bytes", text.len(), MAX_DOCUMENT)?;
    let brackets = text.bytes().filter(|byte| matches!(byte, b'{' | b'(' | b'[')).count();
    at_most("opening brackets", brackets, MAX_BRACKETS)?;
    at_most("words", words(text), MAX_WORDS)?;
    let document = parse_query(text).map_err(|fault| {
        // Its own words repeat the document.
        let at = fault.positions().next().map(|Pos { line, column }| format!(": line {line}, column {column}"));
        Error::new(Problem::InvalidDocument, format!("the document cannot be read{}", at.unwrap_or_default()))
    })?;
    check(&document)?;
    Ok(document)
}

/// Looks at the variables of a request before anything is made of them.
///
/// # Errors
/// They are too many.
pub(super) fn check_variables(variables: &Variables) -> Result<(), Error> {
    let mut values = 0;
    let mut left: Vec<_> = variables.values().collect();
    while let Some(value) = left.pop() {
        values += 1;
        match value {
            Value::List(items) => left.extend(items),
            Value::Object(members) => left.extend(members.values()),
            _ => {}
        }
    }
    at_most("values in its variables", values, MAX_VALUES)
}

/// The refusal of a document that costs too much, where that is what async-graphql says.
pub(super) fn too_dear(said: &ServerError) -> Option<Error> {
    let refused = || Error::new(Problem::DocumentTooComplex, format!("the document costs more than {MAX_PRICE}"));
    (said.message == TOO_DEAR && said.locations.is_empty()).then(refused)
}

/// How many names and numbers a text has.
pub(super) fn words(text: &str) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let begins = |at: usize| is_word(bytes[at]) && !at.checked_sub(1).is_some_and(|before| is_word(bytes[before]));
    (0..bytes.len()).filter(|at| begins(*at)).count()
}

fn check(document: &ExecutableDocument) -> Result<(), Error> {
    at_most("fragments", document.fragments.len(), MAX_FRAGMENTS)?;
    let mut fragments = Fragments { document, sizes: HashMap::new() };
    let mut size = Size::default();
    for (_, operation) in document.operations.iter() {
        size.directives += operation.node.directives.len();
        let variables = operation.node.variable_definitions.iter();
        size.directives += variables.map(|variable| variable.node.directives.len()).sum::<usize>();
        size.add(fragments.selection(&operation.node.selection_set)?);
        check_root(&operation.node)?;
    }
    at_most("fields below each other", size.depth, MAX_DEPTH)?;
    at_most("fields", size.fields, MAX_FIELDS)?;
    at_most("aliases", size.aliases, MAX_ALIASES)?;
    at_most("directives", size.directives, MAX_DIRECTIVES)
}

/// A subscription has one field (GraphQL, 5.2.4.1). It stands there itself: async-graphql looks at no fragments and
/// conditions at the root of one.
fn check_root(operation: &OperationDefinition) -> Result<(), Error> {
    let root = operation.selection_set.node.items.iter().map(|item| &item.node);
    let fields =
        root.clone().filter(|item| matches!(item, Selection::Field(field) if field.node.directives.is_empty()));
    if operation.ty == OperationType::Subscription && (root.count(), fields.count()) != (1, 1) {
        return Err(Error::new(Problem::InvalidDocument, "a subscription has one field, without conditions"));
    }
    Ok(())
}

fn at_most(what: &str, number: usize, most: usize) -> Result<(), Error> {
    let refused = || Error::new(Problem::DocumentTooComplex, format!("the document has more than {most} {what}"));
    if number <= most { Ok(()) } else { Err(refused()) }
}

/// What is counted of a selection, with its fragments in place.
#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    fields: usize,
    aliases: usize,
    directives: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
    }
}

struct Fragments<'a> {
    document: &'a ExecutableDocument,
    /// `None` while it is being looked at.
    sizes: HashMap<&'a Name, Option<Size>>,
}

impl<'a> Fragments<'a> {
    fn selection(&mut self, selection: &'a Positioned<SelectionSet>) -> Result<Size, Error> {
        let mut size = Size::default();
        for item in &selection.node.items {
            size.directives = size.directives.saturating_add(item.node.directives().len());
            size.add(match &item.node {
                Selection::Field(field) => {
                    let mut inner = self.selection(&field.node.selection_set)?;
                    inner.depth += 1;
                    inner.fields = inner.fields.saturating_add(1);
                    inner.aliases = inner.aliases.saturating_add(field.node.alias.is_some().into());
                    inner
                }
                Selection::InlineFragment(inline) => self.selection(&inline.node.selection_set)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node)?,
            });
        }
        Ok(size)
    }

    fn fragment(&mut self, name: &'a Name) -> Result<Size, Error> {
        let Some((name, fragment)) = self.document.fragments.get_key_value(name) else {
            // Validation says so, with its position.
            return Ok(Size::default());
        };
        match self.sizes.get(name) {
            Some(Some(size)) => Ok(*size),
            Some(None) => Err(Error::new(Problem::InvalidDocument, format!("the fragment {name} contains itself"))),
            None => {
                self.sizes.insert(name, None);
                let mut size = self.selection(&fragment.node.selection_set)?;
                size.directives = size.directives.saturating_add(fragment.node.directives.len());
                self.sizes.insert(name, Some(size));
                Ok(size)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<(Problem, String)> {
        parse(text).err().map(|error| (error.problem(), error.detail().to_owned()))
    }

    #[test]
    fn what_is_asked_for_is_counted_with_fragments_in_place() {
        let nested = |depth: usize| format!("{}a{}", "{ a ".repeat(depth - 1) + "{ ", " }".repeat(depth));
        let many = |one: &str, times: usize| format!("{{ {} }}", one.repeat(times));
        let chain = |links: usize| {
            let link = |n: usize| format!("fragment F{n} on Query {{ ...F{} ...F{} }} ", n + 1, n + 1);
            let links: String = (0..links).map(link).collect();
            format!("{{ ...F0 }} {links} fragment F{} on Query {{ a }}", links.matches("fragment").count())
        };
        let cases = [
            (nested(MAX_DEPTH), nested(MAX_DEPTH + 1), "fields below each other"),
            (many("a ", MAX_FIELDS), many("a ", MAX_FIELDS + 1), "fields"),
            (many("a: b ", MAX_ALIASES), many("a: b ", MAX_ALIASES + 1), "aliases"),
            (many("a @skip ", MAX_DIRECTIVES), many("a @skip ", MAX_DIRECTIVES + 1), "directives"),
            (many("a ", 8_000), many("a ", 9_000), "bytes"),
            (many("a(b: 1) ", 100), many("a b_2 3 ", MAX_WORDS / 3 + 1), "words"),
            (chain(8), chain(9), "fields"),
            (chain(9), chain(MAX_FRAGMENTS), "fragments"),
            (many("a { b } ", 100), many("a { b } ", MAX_BRACKETS), "opening brackets"),
        ];
        for (good, bad, what) in cases {
            let (problem, detail) = refused(&bad).unwrap();
            assert_eq!(problem, Problem::DocumentTooComplex, "{bad}");
            assert!(detail.ends_with(&format!(" {what}")), "{detail}: {bad}");
            let (_, other) = refused(&good).unwrap_or((Problem::Internal, String::new()));
            assert!(!other.ends_with(&format!(" {what}")), "{other}: {good}");
        }
    }

    #[test]
    fn what_is_no_document_is_said_to_be_none() {
        for text in ["", "{", "{ a", "{ }", "{ ...A } fragment A on Query { ...B } fragment B on Query { a ...A }"] {
            assert_eq!(refused(text).map(|(problem, _)| problem), Some(Problem::InvalidDocument), "{text}");
        }
        assert_eq!(refused("{ ...A ...A } fragment A on Query { a }"), None);
    }

    #[test]
    fn a_subscription_is_to_one_thing() {
        assert_eq!(refused("subscription { a { b c } }"), None);
        for root in ["a b", "a a: a", "...A", "... { a }", "a @skip(if: true)", "a ... { b }"] {
            let text = format!("subscription {{ {root} }} fragment A on Subscription {{ a }}");
            assert_eq!(refused(&text).map(|(problem, _)| problem), Some(Problem::InvalidDocument), "{text}");
        }
    }

    #[test]
    fn no_text_reaches_the_end_of_the_stack() {
        for open in ["{a", "(a:", "[", "{a(b:[", "{a(b:{c:", "query($a:["] {
            assert!(refused(&open.repeat(MAX_DOCUMENT)).is_some());
            assert!(refused(&open.repeat(MAX_BRACKETS / 2)).is_some());
        }
    }
}
