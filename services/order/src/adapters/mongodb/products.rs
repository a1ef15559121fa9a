//! The catalogue on MongoDB: each command is one update of one document.

use async_trait::async_trait;
use clock::micros;
use futures::TryStreamExt as _;
use messaging::{Effects, Event};
use mongodb::{
    bson::{self, Document, RawDocumentBuf, doc},
    entries,
    options::ReturnDocument,
    recording,
};

use super::{
    MongoStore, contention,
    documents::{ProductDocument, number, product_fields, product_row},
    id,
    keys::{self, ProductWithKeys},
    search,
};
use crate::{
    app::ports::{CommandKey, Idempotent, Products, Row, StoreError},
    domain::{
        ids::ProductId,
        product::Product,
        values::{RestockQuantity, Sku, Stock},
    },
};

/// Tries of a command: another is needed when the same is being done elsewhere and a majority does not have it yet.
const MAX_TRIES: u32 = 16;
/// The pause before the second try; it grows by as much each time.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

#[async_trait]
impl Products for MongoStore {
    async fn create(
        &self,
        product: &Product,
        key: Option<&CommandKey>,
        events: Vec<Event>,
    ) -> Result<Idempotent, StoreError> {
        let document = new_document(product, key, &events)?;
        let products = self.products.clone_with_type::<Document>();
        for tried in 0..MAX_TRIES {
            tokio::time::sleep(PAUSE * tried).await;
            match mongodb::within("insert products", products.insert_one(document.clone())).await {
                Ok(_) => {
                    self.wake.poke();
                    return Ok(Idempotent::Done(Box::new(product.clone())));
                }
                Err(error) if error.is_duplicate() => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(key) = key
                && let Some(known) = self.replay(doc! { "created_by.key": keys::stored_key(key) }, key).await?
            {
                return Ok(known);
            }
            let taken = doc! { "sku": product.sku.as_str() };
            if mongodb::within("find products", self.products.find_one(taken)).await?.is_some() {
                return Ok(Idempotent::Refused);
            }
        }
        Err(contention())
    }

    async fn get(&self, id: ProductId) -> Result<Option<Product>, StoreError> {
        let found = self.products.find_one(doc! { "_id": super::id(id.0) }).projection(product_fields());
        mongodb::within("find products", found).await?.map(ProductDocument::product).transpose()
    }

    async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError> {
        let ids: Vec<bson::Uuid> = ids.iter().map(|id| super::id(id.0)).collect();
        let found = self.products.find(doc! { "_id": { "$in": ids } }).projection(product_fields());
        let found = async { found.await?.try_collect().await };
        products(mongodb::within("find products", found).await?)
    }

    async fn list(&self, tokens: &[String], after: Option<Sku>, limit: u32) -> Result<Vec<Row<Product>>, StoreError> {
        let mut filter = Document::new();
        let conditions = search::prefix_conditions(tokens);
        // Tokens of punctuation alone match nothing; no condition at all would match everything.
        if !tokens.is_empty() && conditions.is_empty() {
            return Ok(Vec::new());
        }
        if !conditions.is_empty() {
            filter.insert("$and", conditions);
        }
        if let Some(after) = after {
            filter.insert("sku", doc! { "$gt": after.as_str() });
        }
        let products = self.products.clone_with_type::<RawDocumentBuf>();
        let page = products.find(filter).sort(doc! { "sku": 1 }).limit(i64::from(limit)).projection(product_fields());
        let found: Vec<RawDocumentBuf> =
            mongodb::within("find products", async { page.await?.try_collect().await }).await?;
        Ok(found.iter().map(|stored| product_row(stored)).collect())
    }

    async fn update(&self, product: &Product, expected: u64, events: Vec<Event>) -> Result<bool, StoreError> {
        let stored = doc! { "_id": id(product.id.0), "version": number(expected) };
        let mut update = recording(&Effects::of(events)).map_err(|error| StoreError::Failed(error.into()))?.update;
        update.insert("$set", changeable(product));
        let updated =
            mongodb::within("update products", self.products.update_one(stored, update)).await?.matched_count == 1;
        if updated {
            self.wake.poke();
        }
        Ok(updated)
    }

    async fn restock(
        &self,
        id: ProductId,
        quantity: RestockQuantity,
        key: &CommandKey,
    ) -> Result<Idempotent, StoreError> {
        let (product, pieces) = (super::id(id.0), quantity.pieces());
        let with_keys = self.products.clone_with_type::<ProductWithKeys>();
        for tried in 0..MAX_TRIES {
            tokio::time::sleep(PAUSE * tried).await;
            // The key, its absence and the room for the pieces are all checked by the update that adds them.
            let room = doc! {
                "_id": product, "keys.key": { "$ne": keys::stored_key(key) }, "available": { "$lte": Stock::MAX - pieces },
            };
            let restock = doc! {
                "$inc": { "available": pieces, "restocked": pieces }, "$push": keys::push(key),
            };
            let done = with_keys.find_one_and_update(room, restock).return_document(ReturnDocument::After);
            if let Some(done) = mongodb::within("findAndModify products", done).await? {
                return self.restocked(product, done, key).await;
            }
            if let Some(known) = self.replay(doc! { "_id": product }, key).await? {
                return Ok(known);
            }
            let has_room = doc! { "_id": product, "available": { "$lte": Stock::MAX - pieces } };
            if mongodb::within("find products", self.products.find_one(has_room)).await?.is_none() {
                return Ok(Idempotent::Refused);
            }
        }
        Err(contention())
    }
}

impl MongoStore {
    /// The outcome of a command whose key was used before; `None` where it was not.
    async fn replay(&self, filter: Document, key: &CommandKey) -> Result<Option<Idempotent>, StoreError> {
        let products = self.products.clone_with_type::<ProductWithKeys>();
        let Some(found) = mongodb::within("find products", products.find_one(filter)).await? else {
            return Ok(None);
        };
        found.replay(key)
    }

    /// The product as it is after a restock. Keys that need not be kept are removed, so that the document stays small.
    async fn restocked(
        &self,
        product: bson::Uuid,
        done: ProductWithKeys,
        key: &CommandKey,
    ) -> Result<Idempotent, StoreError> {
        let old = keys::expired_before(key.at);
        if done.has_keys_before(old) {
            let remove = doc! { "$pull": { "keys": { "at": { "$lt": old } } } };
            mongodb::within("update products", self.products.update_one(doc! { "_id": product }, remove)).await?;
        }
        Ok(Idempotent::Done(Box::new(done.product.product()?)))
    }
}

fn new_document(product: &Product, key: Option<&CommandKey>, events: &[Event]) -> Result<Document, StoreError> {
    let mut document = doc! {
        "_id": id(product.id.0),
        "sku": product.sku.as_str(),
        "available": product.available,
        "stocked": product.available, // at creation
        "restocked": 0_i64,           // since
        "epoch": 0_i64,
        "ops": [],
        "created_at": micros(product.created_at),
    };
    document.extend(changeable(product));
    if let Some(key) = key {
        document.insert("created_by", keys::entry(key));
    }
    // As in an order that is placed: the relay looks for `waiting`.
    if let Some(oldest) = events.iter().map(|event| event.time).min() {
        document.insert("outbox", entries(events).map_err(|error| StoreError::Failed(error.into()))?);
        document.insert("waiting", micros(oldest));
    }
    Ok(document)
}

/// The fields that an update may change.
fn changeable(product: &Product) -> Document {
    let price = product.price.money();
    doc! {
        "name": product.name.as_str(),
        "description": product.description.as_str(),
        "price": price.amount,
        "currency": price.currency.code(),
        "version": number(product.version),
        "updated_at": micros(product.updated_at),
        "words": search::tokens(product),
    }
}

fn products(found: Vec<ProductDocument>) -> Result<Vec<Product>, StoreError> {
    found.into_iter().map(ProductDocument::product).collect()
}
