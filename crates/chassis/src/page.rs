//! Pages for people: one small style, nothing from elsewhere.

use std::{fmt::Write as _, sync::LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::{Html, IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

const STYLE: &str = include_str!("page.css");

/// Nothing but the one style may be loaded or done (Content Security Policy Level 3).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = hash(STYLE);
    format!("default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
});

const HEADERS: [(HeaderName, &str); 3] =
    [(CACHE_CONTROL, "public, max-age=300"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];

/// How a policy names what stands in the page itself.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Answers with a page; `title` is text and `body` is HTML.
pub(crate) fn page(title: &str, body: &str) -> Response {
    answer(title, body, "", &POLICY)
}

/// Answers with a page that has a script, which may call where the page is from.
pub(crate) fn page_with(title: &str, body: &str, script: &str) -> Response {
    let policy = format!("{}; script-src {}; connect-src 'self'", *POLICY, hash(script));
    answer(title, body, &format!("<script type=\"module\">{script}</script>"), &policy)
}

fn answer(title: &str, body: &str, script: &str, policy: &str) -> Response {
    let document = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style></head><body>{body}{script}</body></html>",
        text(title)
    );
    // Base64 and words are header text.
    let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    ([(CONTENT_SECURITY_POLICY, policy)], HEADERS, Html(document)).into_response()
}

/// Writes text as HTML.
pub(crate) fn text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

/// Writes prose as HTML: what stands between backticks is code.
pub(crate) fn prose(prose: &str) -> String {
    let mut html = String::with_capacity(prose.len());
    for (index, part) in prose.split('`').enumerate() {
        let part = text(part);
        let _ = if index % 2 == 0 { write!(html, "{part}") } else { write!(html, "<code>{part}</code>") };
    }
    html
}

/// Writes a fragment as a sentence.
pub(crate) fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_text() {
        assert_eq!(prose("a `<b>` & \"c\""), "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;");
        assert_eq!(sentence("the body is large"), "The body is large.");
    }

    #[test]
    fn the_policy_lets_the_pages_own_style_in() {
        let response = page("<title>", "");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("script"), "{policy}");
        let response = page_with("", "", "let a = 1;");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("script-src 'sha256-") && policy.ends_with("connect-src 'self'"), "{policy}");
    }
}
