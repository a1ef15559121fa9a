//! E-mail addresses: shown as they were written, compared without letter case.

use std::fmt;

use super::Invalid;

/// Longest address, in characters.
const MAX: usize = 254;
/// Longest label of the domain, in characters (RFC 1035).
const MAX_LABEL: usize = 63;

/// An address that could receive mail. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Parses an address: a dot-atom, `@`, and a domain name (RFC 5321, without quoted local parts and address literals).
    ///
    /// # Errors
    /// Says which rule the text breaks.
    ///
    /// ```
    /// use user::domain::Email;
    /// assert_eq!(Email::parse("Ada@Example.com").map(|e| e.normalized()), Ok("ada@example.com".to_owned()));
    /// assert!(Email::parse("ada at example.com").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > MAX {
            return Err(Invalid("must be at most 254 characters"));
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return Err(Invalid("must have the form name@domain"));
        };
        if !is_dot_atom(local) || !is_domain(domain) {
            return Err(Invalid("must have the form name@domain"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes an address that was parsed before it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which addresses are unique: without letter case.
    pub fn normalized(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c)
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=MAX_LABEL).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_what_people_use() {
        for good in ["a@b.co", "Ada.Lovelace+news@sub.example.org", "o'hara@example.com", "jürgen@bücher.example"] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_an_address() {
        for bad in [
            "",
            "@",
            "a",
            "a@",
            "@b.co",
            "a b@c.de",
            " a@b.co",
            "a@b.co ",
            "a@b..co",
            "a@.co",
            "a@b.",
            "a@-b.co",
            "a@b-.co",
            ".a@b.co",
            "a.@b.co",
            "a..b@c.de",
            "a@b@c.de",
            "a@b_c.de",
            "a\n@b.co",
            "<a@b.co>",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn takes_at_most_254_characters() {
        let at_most = format!("{}@example.com", "a".repeat(MAX - "@example.com".len()));
        assert!(Email::parse(&at_most).is_ok());
        assert!(Email::parse(&format!("a{at_most}")).is_err());
    }

    #[test]
    fn does_not_show_itself_in_debug_output() {
        let email = Email::stored("ada@example.com".to_owned());
        assert_eq!(format!("{email:?}"), "Email(…)");
    }

    proptest! {
        #[test]
        fn whatever_parses_is_kept_as_written(text in "\\PC{0,40}") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(email.as_str(), text.as_str());
                prop_assert_eq!(email.as_str().matches('@').count(), 1);
            }
        }
    }
}
