//! Who says what a name means, and whether that may change.

use std::fmt;

/// Whether a name may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// OpenTelemetry's, and stays.
    Stable,
    /// OpenTelemetry's, and may change until it is stable.
    Development,
    /// Ours: OpenTelemetry has no name for it. It changes with a line in the CHANGELOG.
    Own,
}

impl fmt::Display for Stability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::Development => "development",
            Self::Own => "own",
        })
    }
}
