//! What is searched for: the words of a query and of a text, and where a text has them.

/// The most words of a query: what a search costs grows with them.
const MAX_WORDS: usize = 16;
/// The most characters of a query.
const MAX_CHARS: usize = 200;

/// The words of a text: letters and digits, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The words that are searched for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
    /// There is a text, and it has no word.
    nothing: bool,
}

impl Query {
    /// Parses what somebody typed.
    ///
    /// # Errors
    /// It has too many words or characters, or control characters; the text says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        if text.chars().count() > MAX_CHARS {
            return Err(format!("must be at most {MAX_CHARS} characters"));
        }
        let words: Vec<String> = words(text).collect();
        if words.len() > MAX_WORDS {
            return Err(format!("must be at most {MAX_WORDS} words"));
        }
        Ok(Self { nothing: words.is_empty() && !text.trim().is_empty(), words })
    }

    /// The words; none where everything is asked for.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether nothing can be found, because no word begins with punctuation.
    pub fn finds_nothing(&self) -> bool {
        self.nothing
    }
}

/// How many letters may differ between a word that is searched for and one that is found: none of two, one of five, two
/// of more, as Elasticsearch's `AUTO`.
fn tolerance(word: &str) -> usize {
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// Whether `word` is what is searched for: it begins so or, where words may be misspelt, is nearly the same.
fn matches(word: &str, wanted: &str, misspelt: bool) -> bool {
    word.starts_with(wanted)
        || misspelt && word.chars().next() == wanted.chars().next() && is_near(word, wanted, tolerance(wanted))
}

/// Whether so many letters at most have to be changed, added, left out or exchanged with the next one to come from one
/// word to the other (optimal string alignment; L. Boytsov, 2011, "Indexing methods for approximate dictionary
/// searching", 2.2).
fn is_near(a: &str, b: &str, distance: usize) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > distance {
        return false;
    }
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().is_some_and(|cost| *cost <= distance)
}

/// A part of a text, and whether it is a word that was searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// As the text has it.
    pub text: &'a str,
    /// Whether it was searched for.
    pub is_match: bool,
}

/// The text in parts, at most `length` bytes around the first word that was searched for; `None` where the text has
/// none of them.
pub fn highlight<'a>(text: &'a str, query: &Query, misspelt: bool, length: usize) -> Option<Vec<Part<'a>>> {
    let is_match = |word: &str| {
        let word = word.to_lowercase();
        query.words.iter().any(|wanted| matches(&word, wanted, misspelt))
    };
    let split = split(text);
    let first = split.iter().find(|(_, part)| is_match(part))?.0;
    // A third before it, and only whole parts.
    let begin = if text.len() <= length { 0 } else { first.saturating_sub(length / 3) };
    let shown =
        split.into_iter().filter(|(at, part)| *at >= begin && at + part.len() <= begin + length.max(part.len()));
    Some(shown.map(|(_, text)| Part { text, is_match: is_match(text) }).collect())
}

/// The words of a text and what is between them, each with where it begins.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts: Vec<(usize, &str)> = Vec::new();
    let mut begin = 0;
    let ends = text
        .char_indices()
        .zip(text.chars().skip(1))
        .filter(|((_, c), next)| c.is_alphanumeric() != next.is_alphanumeric());
    for ((at, c), _) in ends {
        let end = at + c.len_utf8();
        parts.push((begin, &text[begin..end]));
        begin = end;
    }
    if begin < text.len() {
        parts.push((begin, &text[begin..]));
    }
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    fn shown(text: &str, wanted: &str, misspelt: bool, length: usize) -> Option<String> {
        let parts = highlight(text, &query(wanted), misspelt, length)?;
        Some(parts.iter().map(|p| if p.is_match { format!("[{}]", p.text) } else { p.text.to_owned() }).collect())
    }

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(words("MUG-1 (Äpfel*)").collect::<Vec<_>>(), ["mug", "1", "äpfel"]);
        assert_eq!(words(".*").count(), 0);
    }

    #[test]
    fn a_query_has_its_bounds() {
        assert_eq!(query(" Enamel  MUG ").words(), ["enamel", "mug"]);
        assert!(query(" & -").finds_nothing() && !query(" ").finds_nothing() && !query("a").finds_nothing());
        assert!(Query::parse(&"a ".repeat(16)).is_ok() && Query::parse(&"a ".repeat(17)).is_err());
        assert!(Query::parse(&"ä".repeat(200)).is_ok() && Query::parse(&"ä".repeat(201)).is_err());
        assert!(Query::parse("a\nb").is_err());
    }

    #[test]
    fn what_is_searched_for_is_marked() {
        assert_eq!(shown("Enamel mug, blue", "mu BLUE", false, 99).unwrap(), "Enamel [mug], [blue]");
        assert_eq!(shown("Äpfel & Birnen", "äpf", false, 99).unwrap(), "[Äpfel] & Birnen");
        assert_eq!(shown("Enamel mug", "ware", false, 99), None);
        assert_eq!(shown("", "ware", false, 99), None);
    }

    #[test]
    fn misspelt_words_are_near() {
        assert_eq!(shown("Stoneware mug", "stonewore", true, 99).unwrap(), "[Stoneware] mug");
        assert_eq!(shown("Stoneware mug", "stonewore", false, 99), None);
        for (wanted, near) in [("mgu", true), ("mag", true), ("mugs", true), ("mao", false), ("m", false)] {
            assert_eq!(is_near("mug", wanted, 1), near, "{wanted}");
        }
        assert!(is_near("enamel", "enmale", 2) && !is_near("enamel", "enamelled", 2));
    }

    #[test]
    fn a_long_text_is_cut_around_the_first_word_that_was_found() {
        let text = format!("{}needle{}", "hay ".repeat(100), " hay".repeat(100));
        let shown = shown(&text, "needle", false, 60).unwrap();
        assert!(shown.contains("[needle]") && (40..=64).contains(&shown.len()), "{shown}");
        let word = "ä".repeat(100);
        assert_eq!(highlight(&word, &query(&word), false, 60).unwrap().len(), 1, "a word is never cut");
    }
}
