//! Finds modules and what is only compiled for tests.

use std::ops::Range;

use super::tokens::{Token, closing};

/// A module that a file declares or contains.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module<'a> {
    pub(crate) name: &'a str,
    /// The byte of `mod`.
    pub(crate) at: usize,
    /// The bytes of its content, when the file contains it.
    pub(crate) body: Option<Range<usize>>,
    /// The bytes of the attributes before it.
    pub(crate) attributes: Range<usize>,
}

/// Finds the modules in the order of the code.
pub(crate) fn modules<'a>(tokens: &[Token<'a>]) -> Vec<Module<'a>> {
    let mut found = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        let [keyword, name, next] = window else { continue };
        if keyword.text != "mod" || !name.is_name() {
            continue;
        }
        let body = match next.text {
            ";" => None,
            "{" => Some(next.at..tokens[closing(tokens, index + 2)].at),
            _ => continue,
        };
        let start = attributes_before(tokens, index);
        found.push(Module { name: name.text, at: keyword.at, body, attributes: tokens[start].at..keyword.at });
    }
    found
}

/// The index at which the attributes and the visibility of the item at `index` begin.
fn attributes_before(tokens: &[Token<'_>], mut index: usize) -> usize {
    let opening = |close: usize, open: &str| (0..close).rev().find(|i| tokens[*i].text == open);
    loop {
        let before = index.checked_sub(1).map_or("", |i| tokens[i].text);
        let start = match before {
            "pub" => Some(index - 1),
            ")" => opening(index - 1, "(").filter(|open| *open > 0 && tokens[open - 1].text == "pub"),
            "]" => (0..index - 1)
                .rev()
                .find(|open| tokens[*open].text == "[" && closing(tokens, *open) == index - 1)
                .and_then(|open| open.checked_sub(1))
                .filter(|hash| tokens[*hash].text == "#"),
            _ => None,
        };
        let Some(start) = start else { return index };
        index = start;
    }
}

/// The bytes of the items that stand under `#[cfg(test)]`.
pub(crate) fn test_spans(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let shape = ["#", "[", "cfg", "(", "test", ")", "]"];
    let starts =
        tokens.windows(shape.len()).enumerate().filter(|(_, window)| window.iter().map(|token| token.text).eq(shape));
    starts.map(|(index, _)| tokens[index].at..tokens[end_of_item(tokens, index + shape.len())].at + 1).collect()
}

/// The index of the token that ends the item at `index`.
fn end_of_item(tokens: &[Token<'_>], mut index: usize) -> usize {
    while index < tokens.len() {
        match tokens[index].text {
            ";" => return index,
            "{" => return closing(tokens, index),
            "(" | "[" => index = closing(tokens, index),
            _ => {}
        }
        index += 1;
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    #[test]
    fn modules_are_found_with_their_attributes_and_content() {
        let code = "#[cfg(test)]\n#[path = x]\npub(crate) mod a;\nmod b { mod c; }\nself::mod_x();";
        let all = tokens(code);
        let found: Vec<_> = modules(&all)
            .into_iter()
            .map(|module| (module.name, code[module.attributes].trim().to_owned(), module.body.map(|body| &code[body])))
            .collect();
        let attributes = "#[cfg(test)]\n#[path = x]\npub(crate)".to_owned();
        assert_eq!(
            found,
            [("a", attributes, None), ("b", String::new(), Some("{ mod c; ")), ("c", String::new(), None)]
        );
    }

    #[test]
    fn what_is_for_tests_only_is_found() {
        let code = "fn a() {}\n#[cfg(test)]\n#[x(y)]\nmod tests { fn b() {} }\n#[cfg(test)] use c; fn d() {}";
        let spans: Vec<_> = test_spans(&tokens(code)).into_iter().map(|span| &code[span]).collect();
        assert_eq!(spans, ["#[cfg(test)]\n#[x(y)]\nmod tests { fn b() {} }", "#[cfg(test)] use c;"]);
    }
}
