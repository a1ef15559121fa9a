//! A statement's summary, which has as few forms as the program has statements.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

/// Statements whose summary is remembered: many more than a program has.
const REMEMBERED: usize = 1_000;

static SUMMARIES: LazyLock<RwLock<HashMap<Box<str>, Arc<str>>>> = LazyLock::new(RwLock::default);

/// The same as [`summary`], made once for each text.
pub(crate) fn remembered(statement: &str) -> Arc<str> {
    if let Some(known) = SUMMARIES.read().unwrap_or_else(PoisonError::into_inner).get(statement) {
        return Arc::clone(known);
    }
    let new: Arc<str> = summary(statement).into();
    let mut summaries = SUMMARIES.write().unwrap_or_else(PoisonError::into_inner);
    if summaries.len() < REMEMBERED {
        summaries.insert(statement.into(), Arc::clone(&new));
    }
    new
}

/// The longest summary (semantic conventions: at most 255 characters).
const MAX_LENGTH: usize = 255;

/// What a statement does to which tables, such as `INSERT orders SELECT products`: no value of it is shown.
///
/// As the semantic conventions for databases describe `db.query.summary`.
pub fn summary(statement: &str) -> String {
    let mut summary = String::new();
    let (mut target_next, mut previous) = (false, "");
    for word in words(statement) {
        let upper = word.to_ascii_uppercase();
        match upper.as_str() {
            // `FOR UPDATE` locks, `DO UPDATE` belongs to its INSERT.
            "UPDATE" if previous.eq_ignore_ascii_case("FOR") || previous.eq_ignore_ascii_case("DO") => {}
            "SELECT" | "INSERT" | "DELETE" | "PRAGMA" | "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE"
            | "SET"
                if is_start(&upper, &summary) =>
            {
                push(&mut summary, &upper);
                target_next = false;
            }
            "UPDATE" | "CREATE" | "ALTER" | "DROP" => {
                push(&mut summary, &upper);
                target_next = upper == "UPDATE";
            }
            // `IS DISTINCT FROM` compares.
            "FROM" if previous.eq_ignore_ascii_case("DISTINCT") => {}
            "FROM" | "INTO" | "JOIN" | "TABLE" => target_next = true,
            "ONLY" | "IF" | "NOT" | "EXISTS" => {}
            "(" => target_next = false,
            _ if target_next => {
                push(&mut summary, word);
                target_next = false;
            }
            _ => {}
        }
        previous = word;
    }
    summary
}

/// `SET` is a statement only where it begins one.
fn is_start(word: &str, summary: &str) -> bool {
    word != "SET" || summary.is_empty()
}

fn push(summary: &mut String, word: &str) {
    // The same table again says nothing new.
    if summary.rsplit(' ').next() == Some(word) || summary.len() + word.len() >= MAX_LENGTH {
        return;
    }
    if !summary.is_empty() {
        summary.push(' ');
    }
    summary.push_str(word);
}

/// Names, keywords and opening brackets; what stands in quotes and comments is left out.
fn words(statement: &str) -> impl Iterator<Item = &str> {
    let mut rest = statement;
    std::iter::from_fn(move || {
        loop {
            let first = rest.chars().next()?;
            if first == '\'' {
                rest = rest[1..].split_once('\'').map_or("", |(_, after)| after);
            } else if rest.starts_with("--") {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
            } else if is_word(first) {
                let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                let word = &rest[..end];
                rest = &rest[end..];
                return Some(word);
            } else {
                let bracket = &rest[..first.len_utf8()];
                rest = &rest[first.len_utf8()..];
                if bracket == "(" {
                    return Some(bracket);
                }
            }
        }
    })
}

/// Parameters begin with `$`, `?` or `:` and are no names.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '?' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_done_to_what() {
        for (statement, expected) in [
            ("SELECT * FROM outbox AS o WHERE o.seq > ?1", "SELECT outbox"),
            ("INSERT INTO orders (id, note) VALUES (?1, 'it''s FROM me')", "INSERT orders"),
            ("INSERT INTO a (b) VALUES ($1) ON CONFLICT (b) DO UPDATE SET c = excluded.c", "INSERT a"),
            (
                "UPDATE closings SET due_at = $1 WHERE user_id IN (SELECT user_id FROM closings FOR UPDATE SKIP LOCKED)",
                "UPDATE closings SELECT closings",
            ),
            ("DELETE FROM inbox WHERE at < ?1", "DELETE inbox"),
            (
                "WITH due AS (SELECT id FROM payments) UPDATE payments AS p SET x = 1 FROM due",
                "SELECT payments UPDATE payments due",
            ),
            ("SELECT count(*) FROM (SELECT 1 FROM orders)", "SELECT orders"),
            ("SELECT a IS DISTINCT FROM b FROM c JOIN d ON true", "SELECT c d"),
            ("CREATE TABLE IF NOT EXISTS outbox (seq INTEGER)", "CREATE outbox"),
            ("-- FROM secrets\nBEGIN IMMEDIATE", "BEGIN"),
            ("RELEASE SAVEPOINT a", "RELEASE SAVEPOINT"),
            ("SET LOCAL lock_timeout = '3s'", "SET"),
            ("SELECT 'a@example.com'", "SELECT"),
            ("", ""),
        ] {
            assert_eq!(summary(statement), expected, "{statement}");
        }
    }

    #[test]
    fn it_has_an_end() {
        let long = format!("SELECT 1 {}", "JOIN t ".repeat(1000));
        assert!(summary(&long).len() <= MAX_LENGTH);
        assert_eq!(summary("SELECT 'open"), "SELECT");
    }
}
