//! Finds the paths that code names: in `use`, in `extern crate`, in expressions, types, attributes and macros.

use std::collections::HashSet;

use super::tokens::Token;

/// A path of at least two segments, or one that a `use` or `extern crate` names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    /// The byte in the code at which it begins; within a group of a `use`, its last own segment.
    pub(crate) at: usize,
    /// Without a final `self`.
    pub(crate) segments: Vec<&'a str>,
    /// Whether it begins with `::`, and so with a crate.
    pub(crate) absolute: bool,
    /// What a `use` or an `extern crate` calls it from there on.
    pub(crate) name: Option<&'a str>,
    /// Whether a `use` takes all that is in it.
    pub(crate) glob: bool,
}

/// What stands before a name without being a part of its path.
const KEYWORDS: [&str; 13] =
    ["as", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return", "where", "while", "yield"];

/// Finds the paths in the order of the code.
pub(crate) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let next = |offset: usize| tokens.get(index + offset).map_or("", |token| token.text);
        index = match tokens[index].text {
            // `impl Trait + use<'a>` names lifetimes.
            "use" if next(1) != "<" => Tree { tokens, found: &mut found }.read(index + 1),
            "extern" if next(1) == "crate" => {
                let name = if next(3) == "as" { next(4) } else { next(2) };
                let at = tokens.get(index + 2).map_or(0, |token| token.at);
                found.push(Path { at, segments: vec![next(2)], absolute: true, name: Some(name), glob: false });
                index + 3
            }
            _ if tokens[index].is_name() && next(1) == "::" && begins(tokens, index) => {
                let (segments, end) = segments(tokens, index);
                let absolute = index > 0 && tokens[index - 1].text == "::";
                // `collect::<Vec<_>>()` is a name with its types.
                if absolute || segments.len() > 1 {
                    found.push(Path { at: tokens[index].at, segments, absolute, name: None, glob: false });
                }
                end
            }
            _ => index + 1,
        };
    }
    found
}

/// The names that a file gives to modules, to macros and to what it imports; a path that begins with one is not that of a crate.
pub(crate) fn local_names<'a>(tokens: &[Token<'a>], paths: &[Path<'a>]) -> HashSet<&'a str> {
    let modules = tokens.windows(2).filter(|pair| pair[0].text == "mod" && pair[1].is_name()).map(|pair| pair[1].text);
    let macros = tokens.windows(3).filter(|window| window[0].text == "macro_rules" && window[1].text == "!");
    // `use redis::{self}` names a crate and nothing of ours.
    let imported = paths.iter().filter(|path| path.name != path.segments.first().copied()).filter_map(|path| path.name);
    modules.chain(macros.map(|window| window[2].text)).chain(imported).collect()
}

/// Whether the name at `index` is the first of its path.
fn begins(tokens: &[Token<'_>], index: usize) -> bool {
    let before = |offset: usize| index.checked_sub(offset).map(|i| tokens[i]);
    let text = |offset| before(offset).map_or("", |token: Token<'_>| token.text);
    if KEYWORDS.contains(&tokens[index].text) {
        return false;
    }
    match text(1) {
        // A method has no path, and a macro's own variable may stand for any.
        "." => false,
        "$" => tokens[index].text == "crate",
        "::" => {
            let after_path = before(2).is_some_and(|token| token.is_name() && !KEYWORDS.contains(&token.text));
            let after_type = text(2) == ">" && !["-", "="].contains(&text(3));
            !after_path && !after_type
        }
        _ => true,
    }
}

/// The segments from `index` on, and the index after them.
fn segments<'a>(tokens: &[Token<'a>], mut index: usize) -> (Vec<&'a str>, usize) {
    let mut segments = vec![tokens[index].text];
    index += 1;
    while let [colons, name, ..] = &tokens[index..]
        && colons.text == "::"
        && name.is_name()
    {
        segments.push(name.text);
        index += 2;
    }
    (segments, index)
}

/// Reads the tree of a `use`.
struct Tree<'t, 'a> {
    tokens: &'t [Token<'a>],
    found: &'t mut Vec<Path<'a>>,
}

impl<'a> Tree<'_, 'a> {
    /// Reads from behind `use` and returns the index of what follows.
    fn read(mut self, start: usize) -> usize {
        let absolute = self.text(start) == "::";
        self.branch(start + usize::from(absolute), &[], absolute)
    }

    fn text(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| token.text)
    }

    /// Reads one branch, such as `a::{b, c as d}` behind `prefix`, and returns the index of what follows.
    fn branch(&mut self, mut index: usize, prefix: &[&'a str], absolute: bool) -> usize {
        let mut segments = prefix.to_vec();
        let mut at = self.tokens.get(index).map_or(0, |token| token.at);
        loop {
            match self.text(index) {
                "{" => return self.group(index + 1, &segments, absolute),
                "*" => {
                    self.found.push(Path { at, segments, absolute, name: None, glob: true });
                    return index + 1;
                }
                "::" => index += 1,
                _ if self.tokens.get(index).is_some_and(|token| token.is_name()) => {
                    at = self.tokens[index].at;
                    segments.push(self.text(index));
                    index += 1;
                    if self.text(index) != "::" {
                        return self.leaf(index, at, segments, absolute);
                    }
                }
                _ => return index,
            }
        }
    }

    fn leaf(&mut self, index: usize, at: usize, mut segments: Vec<&'a str>, absolute: bool) -> usize {
        if segments.len() > 1 && segments.last() == Some(&"self") {
            segments.pop();
        }
        let renamed = self.text(index) == "as";
        let name = if renamed { Some(self.text(index + 1)) } else { segments.last().copied() };
        self.found.push(Path { at, segments, absolute, name, glob: false });
        if renamed { index + 2 } else { index }
    }

    fn group(&mut self, mut index: usize, prefix: &[&'a str], absolute: bool) -> usize {
        while index < self.tokens.len() && self.text(index) != "}" {
            let absolute = absolute || self.text(index) == "::";
            let end = self.branch(index, prefix, absolute);
            index = end + usize::from(self.text(end) == "," || end == index);
        }
        index + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn found(code: &str) -> Vec<String> {
        let all = tokens(code);
        let shown = |path: &Path<'_>| {
            let glob = if path.glob { "::*" } else { "" };
            let leading = if path.absolute { "::" } else { "" };
            format!("{leading}{}{glob}", path.segments.join("::"))
        };
        paths(&all).iter().map(shown).collect()
    }

    #[test]
    fn a_use_names_each_of_its_branches() {
        assert_eq!(
            found("use a::{self, b::{c as d, e::*}, f}; pub use ::g::h; use i;"),
            ["a", "a::b::c", "a::b::e::*", "a::f", "::g::h", "i"]
        );
        assert_eq!(found("extern crate a as b; fn f() -> impl T + use<'a> {}"), ["::a"]);
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(
            found(
                "a.f::<x::Y>(); z::<u8>(); a::b::<c::D>::e(); <F as g::H>::i(); ::j::k!(l::m); #[n::o] fn p(q: &dyn ::r::S) {}"
            ),
            ["x::Y", "a::b", "c::D", "g::H", "::j::k", "l::m", "n::o", "::r::S"]
        );
        assert_eq!(found("|x| -> ::a::B { $crate::c::d($e::f) }"), ["::a::B", "crate::c::d"]);
    }

    #[test]
    fn what_a_file_imports_or_declares_is_local() {
        let all = tokens("mod a; use b::c; use d::{self, e as f}; use g::g; macro_rules! h { () => {} }");
        let mut names: Vec<_> = local_names(&all, &paths(&all)).into_iter().collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "c", "f", "h"]);
    }
}
