//! Samples out of Prometheus' text format 0.0.4.

/// One line of a scrape.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// A scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    /// Reads a scrape; a line that is none is left out.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// The sum of all series of a name; `None` where there is none.
    pub(crate) fn sum(&self, name: &str) -> Option<f64> {
        self.sum_where(name, "", |_| true)
    }

    /// The sum of those series of a name whose label has a value that fits.
    pub(crate) fn sum_where(&self, name: &str, label: &str, fits: impl Fn(&str) -> bool) -> Option<f64> {
        let named = self.0.iter().filter(|sample| sample.name == name && fits(sample.label(label)));
        named.map(|sample| sample.value).fold(None, |sum, value| Some(sum.unwrap_or_default() + value))
    }

    /// The values that a label has in the series of a name; some more than once.
    pub(crate) fn values(&self, name: &str, label: &str) -> Vec<&str> {
        self.0.iter().filter(|sample| sample.name == name).map(|sample| sample.label(label)).collect()
    }
}

impl Sample {
    fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }
}

/// `name{label="value",…} 12.5`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Labels up to the closing brace, and what follows.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// A value up to the closing quote, without its escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read() {
        let text = "# HELP a What it is.\n# TYPE a counter\na{x=\"1\",y=\"a\\\"}b\\\\\"} 2\na{x=\"2\"} 3.5 1700000000\nb 7\n\
                    broken{x=\"1\nc +Inf\n";
        let samples = Samples::read(text);
        assert_eq!(samples.sum("a"), Some(5.5));
        assert_eq!(samples.sum_where("a", "y", |value| value == "a\"}b\\"), Some(2.0));
        assert_eq!(samples.sum_where("a", "x", |value| value == "3"), None);
        assert_eq!((samples.sum("b"), samples.sum("c"), samples.sum("d")), (Some(7.0), Some(f64::INFINITY), None));
        assert_eq!(samples.values("a", "x"), ["1", "2"]);
    }
}
