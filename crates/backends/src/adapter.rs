//! A line of a port's table, and the choice among the lines.

/// One adapter of a port; `F` is the function that opens it.
pub(crate) struct Adapter<F> {
    /// The schemes of the URLs that are its own.
    pub(crate) schemes: &'static [&'static str],
    /// The Cargo feature that builds it in.
    pub(crate) feature: &'static str,
    /// `None` where the build left it out.
    pub(crate) open: Option<F>,
}

/// An [`Adapter`]: its feature, its schemes and the function that opens it, which is compiled with the feature only.
///
/// The condition is attached here, so that a line of a table needs none and its schemes are known in every build.
macro_rules! adapter {
    ($feature:tt, $schemes:expr, $open:expr) => {
        $crate::adapter::Adapter {
            schemes: &$schemes,
            feature: $feature,
            #[cfg(feature = $feature)]
            open: Some($open),
            #[cfg(not(feature = $feature))]
            open: None,
        }
    };
}
pub(crate) use adapter;

/// A URL that opens nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter has this scheme. The rest of the URL is not shown: there could be a password in it.
    #[error("unknown scheme `{scheme}`; known are {known}")]
    UnknownScheme {
        /// What stands before the first colon.
        scheme: String,
        /// The schemes of all adapters, those that were left out of the build included.
        known: String,
    },
    /// The build left the adapter out.
    #[error("this binary was built without {feature}: build with --features {feature}")]
    LeftOut {
        /// The Cargo feature that builds it in.
        feature: &'static str,
    },
    /// The adapter's own error.
    #[error(transparent)]
    Open(Box<dyn std::error::Error + Send + Sync>),
}

/// The scheme of a URL: what may be shown of one that is not known, because a password may follow.
pub fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

impl Error {
    /// No adapter has the scheme of `url`; `known` are those that are.
    pub fn unknown_scheme<'a>(url: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<String> = known.into_iter().map(|scheme| format!("{scheme}:")).collect();
        Self::UnknownScheme { scheme: scheme(url).to_owned(), known: known.join(", ") }
    }

    /// Wraps the error of an adapter.
    pub(crate) fn open(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Open(source.into())
    }
}

/// Finds the function that opens `url`.
///
/// # Errors
///
/// [`Error::UnknownScheme`] and [`Error::LeftOut`].
pub(crate) fn choose<'a, F>(adapters: &'a [Adapter<F>], url: &str) -> Result<&'a F, Error> {
    let Some(adapter) = adapters.iter().find(|adapter| adapter.schemes.contains(&scheme(url))) else {
        return Err(Error::unknown_scheme(url, adapters.iter().flat_map(|adapter| adapter.schemes).copied()));
    };
    adapter.open.as_ref().ok_or(Error::LeftOut { feature: adapter.feature })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAPTERS: [Adapter<u8>; 2] = [
        Adapter { schemes: &["file"], feature: "file", open: Some(1) },
        Adapter { schemes: &["kafka", "kafka+ssl"], feature: "kafka", open: None },
    ];

    fn said(url: &str) -> String {
        choose(&ADAPTERS, url).unwrap_err().to_string()
    }

    #[test]
    fn a_scheme_picks_its_adapter() {
        assert_eq!(*choose(&ADAPTERS, "file://a").unwrap(), 1);
    }

    #[test]
    fn a_scheme_that_was_left_out_says_how_to_build_it_in() {
        for url in ["kafka://broker:9092", "kafka+ssl://broker:9092"] {
            assert_eq!(said(url), "this binary was built without kafka: build with --features kafka");
        }
    }

    #[test]
    fn an_unknown_scheme_names_the_known_ones_and_shows_no_password() {
        assert_eq!(said("amqp://user:secret@host"), "unknown scheme `amqp`; known are file:, kafka:, kafka+ssl:");
        assert_eq!(said(""), "unknown scheme ``; known are file:, kafka:, kafka+ssl:");
    }
}
