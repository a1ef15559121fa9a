//! E-mail addresses: shown as they were written, compared as one mailbox is.

use std::fmt;

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

use super::Invalid;

/// Longest address, in characters.
const MAX: usize = 254;

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();

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
        // A letter and its accent may come as two characters.
        let composed = NFC.normalize(text);
        let Some((local, domain)) = composed.rsplit_once('@') else {
            return Err(Invalid("must have the form name@domain"));
        };
        if !is_dot_atom(local) || !is_domain(domain) || to_ascii(domain).is_none() {
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

    /// The form under which addresses are unique: the domain as the DNS has it (UTS #46), and before it what is the same
    /// whatever the letter case (full case folding) and however letters are composed (NFC). Two mailboxes whose addresses
    /// differ in no more than that are one, for all providers that people use.
    ///
    /// ```
    /// use user::domain::Email;
    /// let normalized = |text| Email::parse(text).map(|email| email.normalized());
    /// assert_eq!(normalized("STRASSE@Bücher.example"), normalized("straße@xn--bcher-kva.example"));
    /// ```
    pub fn normalized(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or_default();
        let folded = CaseMapper::new().fold_string(&NFC.normalize(local)).into_owned();
        // An address that was stored is one that was parsed.
        format!("{}@{}", NFC.normalize(&folded), to_ascii(domain).unwrap_or_default())
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

/// What is neither letter, digit nor hyphen, a full stop of another script for one, is no part of a name that people type.
fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
}

/// The name as the DNS has it, where it can have it (UTS #46, with the lengths and characters of RFC 1035).
fn to_ascii(domain: &str) -> Option<String> {
    idna::domain_to_ascii_strict(domain).ok()
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
            "a@xn--a.example",
            "a@b\u{200d}c.example",
            "a@b。co",
            "a@a234567890123456789012345678901234567890123456789012345678901234.example",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_mailbox_is_one_address() {
        let normalized = |text: &str| Email::parse(text).unwrap().normalized();
        for (one, other) in [
            ("Ada@Example.com", "ada@EXAMPLE.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("ada@BU\u{308}CHER.example", "ada@bücher.example"),
            ("ada@ｅｘａｍｐｌｅ.com", "ada@example.com"),
            ("Straße@b.co", "STRASSE@b.co"),
            ("ju\u{308}rgen@b.co", "jürgen@b.co"),
            ("ὈΔΥΣΣΕΎΣ@b.co", "ὀδυσσεύς@b.co"),
        ] {
            assert_eq!(normalized(one), normalized(other), "{one} {other}");
        }
        assert_ne!(normalized("jurgen@b.co"), normalized("jürgen@b.co"));
        assert_ne!(normalized("ada@straße.example"), normalized("ada@strasse.example"), "two names since IDNA 2008");
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
