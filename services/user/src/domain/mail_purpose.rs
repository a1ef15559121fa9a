//! What a token that is sent by mail is good for, and for how long.

use time::Duration;

/// Why somebody is sent a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailPurpose {
    /// Whoever shows it gets the mail of the account's address.
    VerifyEmail,
    /// Whoever shows it may set another password.
    ResetPassword,
}

impl MailPurpose {
    /// Its name in the store and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }

    /// How long such a token is good: the more it opens, the shorter.
    pub fn lifetime(self) -> Duration {
        match self {
            Self::VerifyEmail => Duration::DAY,
            Self::ResetPassword => Duration::minutes(30),
        }
    }
}
