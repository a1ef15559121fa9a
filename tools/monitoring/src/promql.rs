//! Reads of an expression what it needs: metrics, the labels that they have to have, and the labels it groups by.

use std::collections::BTreeSet;

/// What an expression reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Each selector.
    pub selectors: Vec<Selector>,
    /// Labels in `by`, `on` and the like.
    pub grouping: BTreeSet<String>,
}

/// One selector of series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The metric.
    pub metric: String,
    /// What is asked of its labels.
    pub matchers: Vec<Matcher>,
}

/// `label="value"`, with one of the four operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub operator: String,
    /// The value or regular expression.
    pub value: String,
}

impl Matcher {
    /// Whether it says something only of series that have the label: one that refuses values refuses none where the label
    /// has another name.
    pub fn wants_label(&self) -> bool {
        !self.value.is_empty()
    }

    /// A value that it selects.
    pub(crate) fn example(&self) -> Option<String> {
        self.operator.starts_with('=').then(|| self.first())
    }

    /// A value that it does not select, where that is what it says.
    pub(crate) fn counterexample(&self) -> Option<String> {
        self.operator.starts_with('!').then(|| self.first())
    }

    /// The value; of a regular expression, of which only alternatives and `.` are known, one that matches.
    fn first(&self) -> String {
        if self.operator.ends_with('~') {
            self.value.split('|').next().unwrap_or_default().replace('.', "0")
        } else {
            self.value.clone()
        }
    }
}

/// Words that stand before a list of labels.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const WORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];
const AGGREGATIONS: [&str; 12] =
    ["sum", "min", "max", "avg", "group", "count", "stddev", "stdvar", "count_values", "topk", "bottomk", "quantile"];

/// Reads an expression. What is not PromQL gives nonsense: promtool checks that.
pub fn needs(expression: &str) -> Needs {
    let (mut needs, mut rest) = (Needs::default(), expression.trim_start());
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            rest = text(rest).1;
        } else if first == '[' {
            rest = rest.split_once(']').map_or("", |(_, after)| after);
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_name(first) {
            rest = named(rest, &mut needs);
        } else {
            rest = &rest[first.len_utf8()..];
        }
        rest = rest.trim_start();
    }
    needs
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn split_name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()))
}

/// A name: a function, a word, or a metric with its labels.
fn named<'a>(rest: &'a str, needs: &mut Needs) -> &'a str {
    let (name, after) = split_name(rest);
    let after = after.trim_start();
    if BEFORE_LABELS.contains(&name) {
        let Some(list) = after.strip_prefix('(') else { return after };
        let (list, after) = list.split_once(')').unwrap_or((list, ""));
        needs.grouping.extend(list.split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()));
        return after;
    }
    if after.starts_with('(') || AGGREGATIONS.contains(&name) || WORDS.contains(&name) {
        return after;
    }
    let (matchers, after) = after.strip_prefix('{').map_or((Vec::new(), after), matchers);
    needs.selectors.push(Selector { metric: name.to_owned(), matchers });
    after
}

/// What stands between braces, whose first is read already.
fn matchers(mut rest: &str) -> (Vec<Matcher>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
        if rest.is_empty() || rest.starts_with('}') {
            return (found, rest.strip_prefix('}').unwrap_or(""));
        }
        let (label, after) = split_name(rest);
        let after = after.trim_start();
        let (operator, after) = after.split_at(after.find(|c| !"=!~".contains(c)).unwrap_or(after.len()));
        let (value, after) = text(after.trim_start());
        found.push(Matcher { label: label.to_owned(), operator: operator.to_owned(), value });
        rest = if after.len() < rest.len() { after } else { "" };
    }
}

/// A text in quotes, and what comes after it.
fn text(rest: &str) -> (String, &str) {
    let Some(quote) = rest.chars().next() else { return (String::new(), "") };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => (value.push(c), escaped = false).1,
            '\\' => escaped = true,
            _ if c == quote => return (value, &rest[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expression: &str) -> (Vec<String>, Vec<String>) {
        let Needs { selectors, grouping } = needs(expression);
        let matcher = |m: &Matcher| format!("{}{}{}", m.label, m.operator, m.value);
        let selector = |s: &Selector| {
            let matchers: Vec<_> = s.matchers.iter().map(matcher).collect();
            format!("{} {}", s.metric, matchers.join(" ")).trim_end().to_owned()
        };
        (selectors.iter().map(selector).collect(), grouping.into_iter().collect())
    }

    #[test]
    fn metrics_are_told_from_functions_and_words() {
        let (selectors, grouping) = shown(
            "histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{job=~\"x|y\",le!=\"\"}[5m]))) > 1e3 and on(job) b unless c offset 5m",
        );
        assert_eq!(selectors, ["a_bucket job=~x|y le!=", "b", "c"]);
        assert_eq!(grouping, ["job", "le"]);
    }

    #[test]
    fn what_stands_in_quotes_is_no_metric() {
        assert_eq!(shown(r#"label_replace(a, "job", "$1", "b", "c(.*)") * 2"#).0, ["a"]);
        assert_eq!(shown(r#"a{b="say \"c\"", d=~"e}f"} / 1h"#).0, [r#"a b=say "c" d=~e}f"#]);
    }

    #[test]
    fn recorded_names_have_colons() {
        assert_eq!(shown("max without (pod) (slo:errors:ratio_rate5m) == bool 1").0, ["slo:errors:ratio_rate5m"]);
    }

    #[test]
    fn an_example_of_a_matcher_is_selected_by_it_and_a_counterexample_is_not() {
        let example = |expression: &str| needs(expression).selectors[0].matchers[0].example();
        assert_eq!(example("a{b=\"c\"}").as_deref(), Some("c"));
        assert_eq!(example("a{b=~\"5..|x\"}").as_deref(), Some("500"));
        assert_eq!(example("a{b!=\"c\"}"), None);
        let counterexample = |expression: &str| needs(expression).selectors[0].matchers[0].counterexample();
        assert_eq!(counterexample("a{b!~\"5..|x\"}").as_deref(), Some("500"));
        assert_eq!(counterexample("a{b=\"c\"}"), None);
    }
}
