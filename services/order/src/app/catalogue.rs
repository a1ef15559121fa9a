//! Reading the catalogue, and changing a product's name, description or price.

use serde_json::value::RawValue;
use tracing::instrument;

use super::{App, Error, ports::StoreError, published};
use crate::domain::{
    event::ProductEvent,
    ids::ProductId,
    product::{Change, Product},
    values::Sku,
};

/// How often it is tried again when others change the product.
const MAX_ROUNDS: usize = 32;

impl App {
    /// The product with that id, perhaps from the cache.
    ///
    /// # Errors
    /// There is none, or the store failed.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn product(&self, id: ProductId) -> Result<Product, Error> {
        let product = self.product_cache.get(id, &*self.products).await?;
        product.ok_or(Error::NotFound("product"))
    }

    /// At most `limit` products by article number, beginning after `after`, that match all words of the query. Those that
    /// cannot be read are left out.
    ///
    /// # Errors
    /// The store failed.
    #[instrument(skip_all)]
    pub async fn list_products(&self, query: &str, after: Option<Sku>, limit: u32) -> Result<Vec<Product>, Error> {
        let tokens = search_tokens(query);
        if tokens.is_empty() && !query.trim().is_empty() {
            // No word begins with punctuation. Without this check such a query would list everything.
            return Ok(Vec::new());
        }
        let list = |after, limit| self.products.list(&tokens, after, limit);
        Ok(self.set_aside.list(limit, after, list).await?)
    }

    /// The first `limit` products of the whole catalogue as `render` writes them, perhaps from the cache, which knows one limit
    /// only; `render` is given one more where there are more.
    ///
    /// # Errors
    /// The store failed.
    #[instrument(name = "list_products", skip_all)]
    pub async fn first_products(
        &self,
        limit: u32,
        render: impl FnOnce(Vec<Product>) -> Result<Box<RawValue>, serde_json::Error>,
    ) -> Result<Box<RawValue>, Error> {
        let list = |after, limit| self.products.list(&[], after, limit);
        let load = || async {
            let products = self.set_aside.list(limit + 1, None, list).await?;
            render(products).map_err(|error| StoreError::Failed(error.into()))
        };
        Ok(self.product_cache.first_page(load).await?)
    }

    /// Changes a product, if its version is one that the caller expects.
    ///
    /// # Errors
    /// There is none, it has another version, others kept changing it, or the store failed.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn change_product(
        &self,
        id: ProductId,
        change: Change,
        expected: impl Fn(u64) -> bool,
    ) -> Result<Product, Error> {
        for _ in 0..MAX_ROUNDS {
            let mut product = self.products.get(id).await?.ok_or(Error::NotFound("product"))?;
            let version = product.version;
            if !expected(version) {
                return Err(Error::Stale);
            }
            let now = self.clock.now();
            if !product.change(change.clone(), now) {
                return Ok(product);
            }
            let event = published::product_event(&product, ProductEvent::Updated, now)?;
            let updated = self.products.update(&product, version, vec![event]).await;
            // Also after an error: it may have been stored all the same.
            self.product_cache.invalidate(id).await;
            if updated? {
                return Ok(product);
            }
        }
        Err(Error::Contended)
    }
}

/// The words of a query that can be searched for.
fn search_tokens(query: &str) -> Vec<String> {
    query
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric))
        .map(|word| word.replace(char::is_control, ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::search_tokens;

    #[test]
    fn punctuation_alone_is_no_token() {
        assert_eq!(search_tokens(" Salt & pep- \"x"), ["Salt", "pep-", "\"x"]);
        assert!(search_tokens("& --").is_empty());
    }
}
