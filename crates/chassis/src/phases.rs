//! How a server ends, step by step.

use tokio_util::sync::CancellationToken;

/// The steps of a server's shutdown, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases {
    /// Clients are told to go elsewhere.
    pub(crate) lame_duck: CancellationToken,
    /// No new connections; those that are open come to their end.
    pub(crate) stop: CancellationToken,
    /// Whatever is still open is cut.
    pub(crate) cut: CancellationToken,
}
