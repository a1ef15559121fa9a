//! A contract suite: the cases that every adapter of a port has to pass, listed once and run over each adapter.

/// Makes a test of each case of a contract suite, over the adapter that an expression makes.
///
/// A suite is a module with modules of cases, `pub async fn CASE(adapter: …)`, and beside them one macro that lists
/// them by module. It passes its two arguments on unread:
///
/// ```
/// pub mod suite {
///     pub mod counting {
///         pub async fn counts_from_one(mut counter: impl Iterator<Item = u32>) {
///             assert_eq!(counter.next(), Some(1));
///         }
///     }
///
///     macro_rules! counter_suite {
///         ($run:path, $how:tt) => {
///             $run! { $how [crate::suite] counting { counts_from_one } }
///         };
///     }
///     pub(crate) use counter_suite;
/// }
///
/// mod over_a_range {
///     testkit::suite! { crate::suite::counter_suite, 1..10 }
/// }
///
/// mod over_a_vector {
///     testkit::suite! {
///         #[tokio::test(start_paused = true)]
///         crate::suite::counter_suite, vec![1, 2].into_iter()
///     }
/// }
/// # fn main() {}
/// ```
///
/// A list that other crates use is `#[macro_export]` and names its module `[$crate::suite]`.
///
/// The expression is evaluated in each test, may await, and may `return` where there is nothing to test, because a
/// server is not installed, say. Each test is named as its case, so each call has a module of its own.
/// Without an attribute it is `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]`.
#[macro_export]
macro_rules! suite {
    ($(#[$attribute:meta])+ $($list:ident)::+, $adapter:expr $(,)?) => {
        $($list)::+! { $crate::suite, ([$(#[$attribute])+] $adapter) }
    };
    ($($list:ident)::+, $adapter:expr $(,)?) => {
        $crate::suite! {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            $($list)::+, $adapter
        }
    };
    // What a list passes back: how to run, where its modules are, and the cases of each.
    ($how:tt $base:tt $($module:ident { $($case:ident),+ $(,)? })+) => {
        $($( $crate::suite!(@case $how $base $module $case); )+)+
    };
    (@case ([$($attribute:tt)+] $adapter:expr) [$($base:tt)+] $module:ident $case:ident) => {
        $($attribute)+
        async fn $case() {
            $($base)+::$module::$case($adapter).await;
        }
    };
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    mod cases {
        use super::*;

        pub(super) async fn is_given_its_adapter(adapter: &str) {
            assert_eq!(adapter, "adapter");
            RUN.fetch_add(1, Ordering::SeqCst);
        }

        pub(super) async fn is_not_run_without_one(_: &str) {
            unreachable!("the expression returned");
        }
    }

    macro_rules! given {
        ($run:path, $how:tt) => {
            $run! { $how [super] cases { is_given_its_adapter } }
        };
    }
    macro_rules! missing {
        ($run:path, $how:tt) => {
            $run! { $how [super] cases { is_not_run_without_one } }
        };
    }
    pub(crate) use {given, missing};

    const NOT_INSTALLED: Option<&str> = None;
    static RUN: AtomicU32 = AtomicU32::new(0);

    /// The attribute here makes functions instead of tests, so that the test below can call them.
    mod run {
        use super::NOT_INSTALLED;

        crate::suite! { #[cfg(all())] super::given, std::future::ready("adapter").await }
        crate::suite! { #[cfg(all())] super::missing, match NOT_INSTALLED {
            Some(adapter) => adapter,
            None => return,
        } }

        pub(super) async fn all() {
            is_given_its_adapter().await;
            is_not_run_without_one().await;
        }
    }

    #[tokio::test]
    async fn each_case_is_given_what_the_expression_makes() {
        run::all().await;
        assert_eq!(RUN.load(Ordering::SeqCst), 1);
    }
}
