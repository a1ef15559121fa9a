//! The three services: their names and their binaries.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anstyle::AnsiColor;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Accounts.
    User,
    /// Products, stock, orders.
    Order,
    /// Payments.
    Payment,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::User, Self::Order, Self::Payment];

    /// Its name, which is its binary's too.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Order => "order",
            Self::Payment => "payment",
        }
    }

    pub(crate) fn colour(self) -> AnsiColor {
        match self {
            Self::User => AnsiColor::Cyan,
            Self::Order => AnsiColor::Magenta,
            Self::Payment => AnsiColor::Yellow,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The folder with the services' binaries: the one that the running binary is in, or a test's parent folder.
///
/// # Errors
///
/// They are not there.
pub fn binaries() -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot find the own binary")?;
    let complete = |folder: &&Path| Service::ALL.iter().all(|service| folder.join(service.name()).is_file());
    let folder = here.ancestors().skip(1).take(2).find(complete);
    let folder = folder.with_context(|| {
        let folder = here.parent().unwrap_or(&here).display();
        format!("user, order and payment are not in {folder}: build them with `cargo build --workspace --bins`")
    })?;
    Ok(folder.to_owned())
}
