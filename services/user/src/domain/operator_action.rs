//! What operators do to accounts and keys, and why.

use std::str::FromStr;

use super::Invalid;

/// Something that only an operator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// Keeps the owner of an account out.
    Disable,
    /// Lets the owner in again.
    Enable,
    /// Gives an account a role.
    Grant,
    /// Has another key sign access tokens.
    RotateKeys,
}

impl OperatorAction {
    const ALL: [Self; 4] = [Self::Disable, Self::Enable, Self::Grant, Self::RotateKeys];

    /// Its name in the store and in responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Grant => "grant",
            Self::RotateKeys => "rotate_keys",
        }
    }
}

impl FromStr for OperatorAction {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(Invalid("must be an action of operators"))
    }
}

/// Why an operator did something, for those who ask later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Parses a reason; white space around it does not count.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if !(1..=500).contains(&text.chars().count()) {
            return Err(Invalid("must be 1 to 500 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid("must not contain control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The reason as it is kept.
    pub fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_in_500_characters() {
        assert_eq!(Reason::parse(" stolen card ").map(Reason::into_text), Ok("stolen card".to_owned()));
        assert!(Reason::parse(&"ü".repeat(500)).is_ok());
        for bad in ["", "  ", "a\nb", &"ü".repeat(501)] {
            assert!(Reason::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn actions_have_names() {
        for action in OperatorAction::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert!("delete".parse::<OperatorAction>().is_err());
    }
}
