//! Two versions of a service behind one bus.

/// Which of two versions of its service a member of a consumer group is.
///
/// Events that carry the canary mark (`x-canary: true`) are for the canary while one lives, and for the stable version
/// otherwise. All others are for the stable version alone, and wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Track {
    /// The version that everybody uses.
    #[default]
    Stable,
    /// The next one, tried with marked requests.
    Canary,
}
