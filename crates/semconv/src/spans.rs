//! Every kind of span.

mod boundary;
mod work;

use crate::Span;

/// Lists spans by where they are made.
macro_rules! spans {
    ($(
        in $emitted_by:literal {
            $($name:literal, $stability:ident, $kind:ident, $description:literal, [$($attribute:ident),*];)*
        }
    )*) => {
        /// Those of this file.
        pub(super) static HERE: &[Span] = &[$($(Span {
            name: $name,
            stability: Stability::$stability,
            kind: SpanKind::$kind,
            description: $description,
            attributes: &[$(&attributes::$attribute),*],
            emitted_by: $emitted_by,
        },)*)*];
    };
}
use spans;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Span> {
    [boundary::HERE, work::HERE].into_iter().flatten()
}
