//! GraphQL over HTTP: the same use cases, refusals and cursors as the REST interface, in one request.

mod answer;
mod connection;
mod context;
mod documents;
mod fields;
mod limits;
mod mutation;
mod operation;
mod page;
mod query;
mod request;
mod search;
mod stream;
mod subscription;
mod types;

use std::sync::Arc;

use async_graphql::{Schema, SchemaBuilder};
use auth::Verifier;
use axum::{
    Router,
    extract::FromRef,
    routing::{get, post},
};
use chassis::push::Push;

pub use self::documents::Documents;
use self::{mutation::Mutation, query::Query, subscription::Subscription};
use crate::app::App;

type Shop = Schema<Query, Mutation, Subscription>;

/// The handlers' dependencies.
#[derive(Clone)]
struct Api {
    app: Arc<App>,
    schema: Shop,
    documents: Arc<Documents>,
    verifier: Verifier,
    push: Push,
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

/// The routes: documents are executed, and where the schema may be read, a browser finds a page to try it.
pub fn router(app: Arc<App>, verifier: Verifier, push: Push, options: Options) -> Router {
    let mut schema = builder().limit_complexity(limits::MAX_PRICE).data(Arc::clone(&app));
    let mut route = post(request::execute);
    if options.introspection {
        route = route.get(page::page);
    } else {
        // Suggestions in errors would tell the schema word by word.
        schema = schema.disable_introspection().disable_suggestions();
    }
    let (schema, documents) = (schema.finish(), Arc::new(options.documents));
    Router::new()
        .route("/graphql", route)
        .route("/graphql/stream", get(stream::open).post(stream::subscribe))
        .with_state(Api { app, schema, documents, verifier, push })
}

/// The schema as it is written down.
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}
