//! Proving that stock and money add up.

use super::{App, Error, ports::Totals};

impl App {
    /// Adds up everything that is stored.
    ///
    /// # Errors
    /// The store failed.
    pub async fn totals(&self) -> Result<Totals, Error> {
        Ok(self.audit.totals().await?)
    }
}
