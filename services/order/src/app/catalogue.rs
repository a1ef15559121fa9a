//! Reading the catalogue, and changing what it says about a product.

use tracing::instrument;

use super::{App, Error};
use crate::domain::{
    ids::ProductId,
    product::{Change, Product},
    values::Sku,
};

/// How often a product may change under our hands.
const ROUNDS: usize = 32;

impl App {
    /// The product with that id, as it was a moment ago.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn product(&self, id: ProductId) -> Result<Product, Error> {
        let product = self.shelf.look(id, &*self.products).await?;
        product.ok_or(Error::NotFound("product"))
    }

    /// A page of products by article number that match all the words.
    #[instrument(skip_all)]
    pub async fn list_products(&self, query: &str, behind: Option<&Sku>, limit: u32) -> Result<Vec<Product>, Error> {
        let words = words(query);
        if words.is_empty() && !query.trim().is_empty() {
            // Nothing but punctuation begins no word.
            return Ok(Vec::new());
        }
        Ok(self.products.list(&words, behind, limit).await?)
    }

    /// Changes a product, if its version is one that the caller expects.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn change_product(
        &self,
        id: ProductId,
        change: Change,
        expected: impl Fn(u64) -> bool,
    ) -> Result<Product, Error> {
        for _ in 0..ROUNDS {
            let mut product = self.products.get(id).await?.ok_or(Error::NotFound("product"))?;
            let version = product.version;
            if !expected(version) {
                return Err(Error::Stale);
            }
            if !product.change(change.clone(), self.clock.now()) {
                return Ok(product);
            }
            let updated = self.products.update(&product, version).await;
            // Whatever became of it: it may have been stored.
            self.shelf.drop_copy(id).await;
            if updated? {
                return Ok(product);
            }
        }
        Err(Error::Contended)
    }
}

/// The words of a query that can be looked for.
fn words(query: &str) -> Vec<String> {
    query
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric))
        .map(|word| word.replace(char::is_control, ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn punctuation_alone_is_no_word() {
        assert_eq!(words(" Salt & pep- \"x"), ["Salt", "pep-", "\"x"]);
        assert!(words("& --").is_empty());
    }
}
