//! Finds functions and how long they are.

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The line of `fn`, from 1.
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace.
    pub(crate) lines: usize,
}

/// Finds the functions in code whose comments and literals are blanked out.
pub(super) fn find(code: &str) -> Vec<Function> {
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    starts(code)
        .filter_map(|(at, name)| {
            let end = end_of_body(code, at)?;
            Some(Function { name: name.to_owned(), line: line(at), lines: line(end) - line(at) + 1 })
        })
        .collect()
}

/// The places of `fn name`; a type such as `fn(u8)` has no name.
fn starts(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices("fn ").filter_map(move |(at, _)| {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '#') {
            return None;
        }
        let rest = code[at + 3..].trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '#')?;
        (end > 0).then(|| (at, &rest[..end]))
    })
}

/// The place of the brace that closes the body, or nothing for a function without one.
fn end_of_body(code: &str, start: usize) -> Option<usize> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    for (offset, byte) in code[start..].bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => braces += 1,
            b'}' => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(start + offset);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<(String, usize, usize)> {
        find(code).into_iter().map(|f| (f.name, f.line, f.lines)).collect()
    }

    #[test]
    fn functions_are_found_with_their_length() {
        let code = "pub fn a() {}\n\nimpl X {\n    async fn b(\n        x: [u8; 2],\n    ) {\n        if y {\n        }\n    }\n}";
        assert_eq!(found(code), [("a".to_owned(), 1, 1), ("b".to_owned(), 4, 6)]);
    }

    #[test]
    fn what_has_no_body_is_none() {
        assert_eq!(found("trait T { fn a(&self) -> [u8; 2]; }\ntype F = fn (u8) -> u8;\nconst N: u8 = 1;"), []);
    }

    #[test]
    fn a_function_within_a_function_counts_for_both() {
        assert_eq!(found("fn a() {\n    fn b() {\n    }\n}"), [("a".to_owned(), 1, 4), ("b".to_owned(), 2, 2)]);
    }
}
