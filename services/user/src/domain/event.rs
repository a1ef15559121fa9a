//! What other services hear of an account: that something happened to it, and nothing personal.

/// Something that happened to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainEvent {
    /// It was opened.
    Registered,
    /// Its name or e-mail address changed.
    Updated,
    /// It is closed for good.
    Closed,
    /// An operator keeps its owner out.
    Disabled,
    /// An operator lets its owner in again.
    Enabled,
}

impl DomainEvent {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Registered, Self::Updated, Self::Closed, Self::Disabled, Self::Enabled];

    /// The type of the event outside, with its version; schemas are in `proto/events`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Registered => "user.registered.v1",
            Self::Updated => "user.updated.v1",
            Self::Closed => "user.closed.v1",
            Self::Disabled => "user.disabled.v1",
            Self::Enabled => "user.enabled.v1",
        }
    }
}
