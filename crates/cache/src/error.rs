//! What can go wrong: with a store, which callers never see, and with a load, which they do.

use std::{fmt, sync::Arc, time::Duration};

/// Any cause, as a store reports it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A value was neither cached nor loaded.
#[derive(Debug)]
pub enum LoadError<E> {
    /// The loader's own error, shared by all who waited for this load.
    Failed(Arc<E>),
    /// The loader took longer than [`Policy::load_timeout`](crate::Policy::load_timeout).
    TimedOut(Duration),
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::TimedOut(limit) => Self::TimedOut(*limit),
        }
    }
}

impl<E> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) => f.write_str("the value could not be loaded"),
            Self::TimedOut(limit) => write!(f, "the value was not loaded within {limit:?}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for LoadError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            Self::TimedOut(_) => None,
        }
    }
}
