//! Values that GraphQL has no type for.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use time::OffsetDateTime;

/// An integer of 64 bits, as a JSON number: GraphQL's own Int has 32.
pub(in crate::api::graphql) struct Long(pub(in crate::api::graphql) i64);

impl Long {
    /// The number, or the largest there is.
    pub(in crate::api::graphql) fn of(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// An integer of 64 bits, as a JSON number: `Int` has 32.
#[Scalar]
impl ScalarType for Long {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_i64().map(Self).ok_or_else(|| InputValueError::expected_type(value)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        self.0.into()
    }
}

/// A moment.
pub(in crate::api::graphql) struct DateTime(pub(in crate::api::graphql) OffsetDateTime);

/// A moment as RFC 3339 writes it, in UTC.
#[Scalar(specified_by_url = "https://scalars.graphql.org/andimarek/date-time")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        Err(InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        clock::rfc3339(self.0).into()
    }
}
