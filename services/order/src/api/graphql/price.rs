//! What a document costs, before it is executed: the prices are on the fields of the schema.

use std::sync::Arc;

use async_graphql::{
    ServerError, ValidationResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation},
};
use async_trait::async_trait;
use error::{Error, Problem};

/// The most that a document may cost: about a page of 100 orders with everything that is to be known of them.
const MAX: usize = 10_000;

/// Refuses what costs too much. async-graphql's own limit does not say which of the problems it is.
pub(super) struct Price;

impl ExtensionFactory for Price {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Price {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let valid = next.run(ctx).await?;
        if valid.complexity <= MAX {
            return Ok(valid);
        }
        let detail = format!("the document costs {}, which is more than {MAX}", valid.complexity);
        let mut refused = ServerError::new(String::new(), None);
        refused.source = Some(Arc::new(Error::new(Problem::DocumentTooComplex, detail)));
        Err(vec![refused])
    }
}
