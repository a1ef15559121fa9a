//! Configuration in layers that names the key and the origin of every value.
//!
//! A service's embedded, commented default TOML is the documentation and the first layer; a file comes over it, and
//! environment variables over that: `TRIREME_DATABASE__URL` sets `database.url`. A key that nobody knows is an error.
//!
//! ```
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     greeting: String,
//!     #[serde(with = "config::duration")]
//!     patience: std::time::Duration,
//! }
//!
//! let defaults = "greeting = 'hello'\npatience = '250ms'";
//! let loaded = config::load::<Config>("example", defaults, None)?;
//! assert_eq!(loaded.value.greeting, "hello");
//! loaded.print(&mut std::io::stdout(), false)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

pub mod duration;
mod error;
mod layers;
mod load;
mod print;
mod secret;

pub use error::Error;
pub use load::{Loaded, load, load_from};
pub use secret::{Secret, SecretFile};
