//! Changes that any version may take: tried again when others write at the same time.

use std::time::Duration;

use resilience::Backoff;

/// How often such a change is tried: with every failure somebody else has made theirs.
const MAX_ROUNDS: u32 = 32;
/// What those who were in each other's way wait, each another time.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(32));

/// The rounds in which a change is tried.
#[derive(Debug, Default)]
pub(super) struct Rounds(u32);

impl Rounds {
    /// Begins the next round, after a pause where it is not the first; `false` when it is enough.
    pub(super) async fn next(&mut self) -> bool {
        if self.0 > 0 {
            tokio::time::sleep(PAUSE.delay(self.0)).await;
        }
        self.0 += 1;
        self.0 <= MAX_ROUNDS
    }
}
