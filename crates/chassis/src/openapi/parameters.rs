//! How the extractors of [`crate::http`] are described: beside their patterns, so that both say the same.

use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::http::{Id, IdempotencyKey, IfMatch, IfNoneMatch};

/// `*`, or entity tags between commas (RFC 9110, sections 5.6.1.2 and 8.8.3), of which none at all are malformed. White
/// space around a header's value is not part of it.
const ENTITY_TAGS: &str = r#"^(\*|[ \t,]*(W/)?"[!#-~]*"([ \t]*,[ \t]*((W/)?"[!#-~]*")?)*)$"#;

/// `If-Match` where it may be left out.
#[derive(Clone, Copy, Debug)]
pub struct Conditional;

/// `limit` and `cursor` of a list.
#[derive(Clone, Copy, Debug)]
pub struct Paged;

fn parameter(name: &str, place: ParameterIn, required: bool, schema: ObjectBuilder, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if required { Required::True } else { Required::False })
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn entity_tags(name: &str, required: bool, description: &str) -> Vec<Parameter> {
    let schema = text().pattern(Some(ENTITY_TAGS)).examples(["\"1\""]);
    vec![parameter(name, ParameterIn::Header, required, schema, description)]
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]+$"));
        let schema = schema.examples(["7f1c9d2e-4b0a-4c38-9a52-1d0c4e6b8f13"]);
        let description = "New for each command and the same for its retries, which get the first one's result.";
        vec![parameter("Idempotency-Key", ParameterIn::Header, true, schema, description)]
    }
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        entity_tags("If-Match", true, "The `ETag` that the change was made on; a list, or `*` for any.")
    }
}

impl IntoParams for Conditional {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        entity_tags("If-Match", false, "The `ETag` that is meant; a list, or `*` for any. Without it any is.")
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        entity_tags("If-None-Match", false, "The `ETag` that is known: 304 where it is still the same.")
    }
}

impl<T> IntoParams for Id<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = text().format(Some(SchemaFormat::Custom("uuid".to_owned())));
        vec![parameter("id", ParameterIn::Path, true, schema, "Its id. What is no UUID names nothing.")]
    }
}

impl IntoParams for Paged {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = ObjectBuilder::new().schema_type(Type::Integer);
        let limit = limit.minimum(Some(1)).maximum(Some(100)).default(Some(20.into()));
        vec![
            parameter("limit", ParameterIn::Query, false, limit, "How many there are on a page."),
            parameter("cursor", ParameterIn::Query, false, text(), "`next_cursor` of the page before, unchanged."),
        ]
    }
}
