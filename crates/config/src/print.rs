//! Listing the effective configuration, with secrets masked.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// One key with its value as TOML and where that came from.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) origin: String,
}

const MASK: &str = "***";
/// A key with one of these in its last segment holds a secret.
const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "credential", "private"];
/// Keys that end so hold only where something is found.
const REFERENCES: [&str; 3] = ["_file", "_url", "_path"];

pub(crate) fn print(out: &mut dyn Write, service: &str, lines: &[Line], colour: bool) -> io::Result<()> {
    let style = |style: Style| if colour { style } else { Style::new() };
    let key_style = style(AnsiColor::Cyan.on_default());
    let plain_style = style(Style::new().dimmed());
    let set_style = style(AnsiColor::Yellow.on_default());

    writeln!(out, "{plain_style}# the effective configuration of {service}{plain_style:#}")?;
    let shown: Vec<String> = lines.iter().map(masked).collect();
    let width = lines.iter().zip(&shown).map(|(line, value)| line.key.len() + value.len()).max().unwrap_or(0);
    for (line, value) in lines.iter().zip(&shown) {
        let gap = width - line.key.len() - value.len();
        let origin_style = if line.origin == "default" { plain_style } else { set_style };
        writeln!(
            out,
            "{key_style}{}{key_style:#} = {value}{:gap$}  {origin_style}# {}{origin_style:#}",
            line.key, "", line.origin
        )?;
    }
    Ok(())
}

fn masked(line: &Line) -> String {
    let name = line.key.rsplit('.').next().unwrap_or(&line.key);
    let secret = SECRET_WORDS.iter().any(|word| name.contains(word));
    if secret && !REFERENCES.iter().any(|end| name.ends_with(end)) {
        return format!("\"{MASK}\"");
    }
    mask_url(&line.value)
}

/// Masks the password of `scheme://user:password@host` and parameters of the query that sound like a secret.
fn mask_url(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let (address, query) = match rest.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (rest, None),
    };
    let mut masked = format!("{scheme}://");
    match address.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map(|(name, _)| name);
            masked.push_str(&name.map_or_else(|| user.to_owned(), |name| format!("{name}:{MASK}")));
            masked.push('@');
            masked.push_str(host);
        }
        None => masked.push_str(address),
    }
    if let Some(query) = query {
        let (query, quote) = query.strip_suffix('"').map_or((query, ""), |query| (query, "\""));
        let parameters: Vec<String> = query.split('&').map(mask_parameter).collect();
        masked.push('?');
        masked.push_str(&parameters.join("&"));
        masked.push_str(quote);
    }
    masked
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_WORDS.iter().any(|word| name.contains(word)) => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(key: &str, value: &str) -> String {
        masked(&Line { key: key.into(), value: value.into(), origin: String::new() })
    }

    #[test]
    fn secrets_are_masked() {
        for (key, value, expected) in [
            ("database.url", "\"postgres://u:p@w@h/d\"", "\"postgres://u:***@h/d\""),
            ("database.url", "\"postgres://u:p@a:1,b:2/d\"", "\"postgres://u:***@a:1,b:2/d\""),
            ("database.url", "\"postgres://h/d?user=u&password=p\"", "\"postgres://h/d?user=u&password=***\""),
            ("database.url", "\"sqlite://.trireme/user.db\"", "\"sqlite://.trireme/user.db\""),
            ("cache.url", "\"redis://:p@h\"", "\"redis://:***@h\""),
            ("webhook.secret", "\"abc\"", "\"***\""),
            ("webhook.secret_file", "\"/run/secret\"", "\"/run/secret\""),
            ("mail.password", "7", "\"***\""),
            ("http.port", "8080", "8080"),
        ] {
            assert_eq!(shown(key, value), expected, "{key}");
        }
    }
}
