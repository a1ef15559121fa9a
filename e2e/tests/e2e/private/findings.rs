//! What in a text is personal or secret, by its words and by its form.

/// Everything in a text that must not be in it: one of these words, or what looks like an e-mail address, an access token, a
/// payment token, the hash of a password or that of a secret.
pub(super) fn findings<'a>(text: &'a str, words: &'a [String]) -> impl Iterator<Item = String> {
    let known = words.iter().filter(|word| text.contains(word.as_str())).map(|word| format!("the word {word}"));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "@._+-$".contains(c)));
    known.chain(words.filter_map(|word| looks_like(word).map(|what| format!("{what}: {word}"))))
}

fn looks_like(word: &str) -> Option<&'static str> {
    let is_base64 =
        |part: &str| part.len() > 9 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let parts: Vec<_> = word.split('.').collect();
    match word.split_once('@') {
        Some((local, domain)) if !local.is_empty() && domain.trim_matches('.').contains('.') => {
            return Some("an address");
        }
        _ if word.contains("$argon2") => return Some("a password's hash"),
        _ if word.starts_with("tok_") => return Some("a payment token"),
        _ if word.starts_with("eyJ") && parts.len() == 3 && parts.iter().all(|part| is_base64(part)) => {
            return Some("an access token");
        }
        _ => {}
    }
    (word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit())).then_some("a SHA-256")
}

#[test]
fn what_is_personal_or_secret_is_found() {
    let words = ["Zebulon Quackenbush".to_owned()];
    let found = |text: &str| findings(text, &words).collect::<Vec<_>>();
    let sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjMifQ.c2lnbmF0dXJlLXRoYXQtaXM";
    for text in [
        r#"{"name":"Zebulon Quackenbush"}"#,
        "cannot send to ada@example.org.",
        "authorization: Bearer TOKEN",
        "payment_token=tok_ok",
        "hash=$argon2id$v=19$m=19456",
        "redis.get payment_token:SHA",
    ] {
        let text = text.replace("TOKEN", jwt).replace("SHA", sha);
        assert_eq!(found(&text).len(), 1, "{text}: {:?}", found(&text));
    }
    let fine = "order 0197a1c4-5e0f-7a34-9c1e-0d8c2f6b7a11 POST /v1/orders 201 4bf92f3577b34da6a3ce929d0e0e4736 5 @ noon eyJ.a.b";
    assert_eq!(found(fine), Vec::<String>::new());
}
