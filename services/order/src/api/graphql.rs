//! GraphQL over HTTP: the same use cases, refusals and cursors as the REST interface, in one request.

mod answer;
mod connection;
mod documents;
mod limits;
mod mutation;
mod page;
mod query;
mod request;
mod types;

use std::sync::Arc;

use async_graphql::{EmptySubscription, Schema, SchemaBuilder};
use auth::Verifier;
use axum::{Router, extract::FromRef, routing::post};

pub use self::documents::Documents;
use self::{mutation::Mutation, query::Query};
use crate::app::App;

type Shop = Schema<Query, Mutation, EmptySubscription>;

/// The handlers' dependencies.
#[derive(Clone)]
struct Api {
    schema: Shop,
    documents: Arc<Documents>,
    verifier: Verifier,
}

impl FromRef<Api> for Verifier {
    fn from_ref(api: &Api) -> Self {
        api.verifier.clone()
    }
}

/// What can be configured.
#[derive(Debug, Default)]
pub struct Options {
    /// Whether clients may read the schema, and find a page to try it.
    pub introspection: bool,
    /// Which documents are executed.
    pub documents: Documents,
}

/// The route: documents are executed, and where the schema may be read, a browser finds a page to try it.
pub fn router(app: Arc<App>, verifier: Verifier, options: Options) -> Router {
    let mut schema = builder().limit_complexity(limits::MAX_COMPLEXITY).data(app);
    let mut route = post(request::execute);
    if options.introspection {
        route = route.get(page::page);
    } else {
        // Suggestions in errors would tell the schema word by word.
        schema = schema.disable_introspection().disable_suggestions();
    }
    let (schema, documents) = (schema.finish(), Arc::new(options.documents));
    Router::new().route("/graphql", route).with_state(Api { schema, documents, verifier })
}

/// The schema as it is written down.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query, Mutation, EmptySubscription)
}
