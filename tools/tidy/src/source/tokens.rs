//! The tokens of code whose comments and literals are blanked out, as far as the rules need them.

/// A name, a number, a lifetime, `::`, or one character of punctuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// The byte in the code at which it begins.
    pub(crate) at: usize,
    /// As it stands there, but for the `r#` of a raw name.
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Whether it is a name or a keyword.
    pub(crate) fn is_name(self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Splits code into tokens.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let (skipped, length) = if first.is_whitespace() {
            (first.len_utf8(), 0)
        } else if rest.starts_with("::") {
            (0, 2)
        } else if let Some(raw) = rest.strip_prefix("r#") {
            (2, word(raw))
        } else if first == '\'' {
            (0, 1 + word(&rest[1..]))
        } else {
            (0, word(rest).max(first.len_utf8()))
        };
        if length > 0 {
            found.push(Token { at: at + skipped, text: &rest[skipped..skipped + length] });
        }
        at += (skipped + length).max(1);
    }
    found
}

/// The length of the word that `text` begins with.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The index of the bracket that closes the one at `open`, or of the last token.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            _ => {}
        }
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_split_into_names_paths_and_punctuation() {
        let texts: Vec<_> = tokens("a::b(r#fn, 'x, 1_0u8)->é;").into_iter().map(|token| token.text).collect();
        assert_eq!(texts, ["a", "::", "b", "(", "fn", ",", "'x", ",", "1_0u8", ")", "-", ">", "é", ";"]);
    }

    #[test]
    fn brackets_are_matched() {
        let all = tokens("a { b(c) [d] } e");
        assert_eq!(closing(&all, 1), all.len() - 2);
        assert_eq!(closing(&tokens("( a"), 0), 1);
    }
}
