//! The catalogue on MongoDB: each command is one update of one document.

use async_trait::async_trait;
use clock::micros;
use futures::TryStreamExt as _;
use mongodb::{
    bson::{self, Document, doc},
    options::ReturnDocument,
};

use super::{
    MongoStore, contention,
    documents::{ProductDocument, number},
    id,
    keys::{self, WithKeys},
    words,
};
use crate::{
    app::ports::{Key, Keyed, Products, StoreError},
    domain::{
        ids::ProductId,
        product::Product,
        values::{Delivery, Sku, Stock},
    },
};

/// Tries of a command: another comes when somebody does the same and a majority does not know yet.
const TRIES: u32 = 16;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

#[async_trait]
impl Products for MongoStore {
    async fn create(&self, product: &Product, key: Option<&Key>) -> Result<Keyed, StoreError> {
        let products = self.products.clone_with_type::<Document>();
        for tried in 0..TRIES {
            tokio::time::sleep(PAUSE * tried).await;
            match mongodb::within(products.insert_one(new(product, key))).await {
                Ok(_) => return Ok(Keyed::Done(Box::new(product.clone()))),
                Err(error) if error.is_duplicate() => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(key) = key
                && let Some(known) = self.recall(doc! { "created_by.key": keys::name(key) }, key).await?
            {
                return Ok(known);
            }
            let taken = doc! { "sku": product.sku.as_str() };
            if mongodb::within(self.products.find_one(taken)).await?.is_some() {
                return Ok(Keyed::Refused);
            }
        }
        Err(contention())
    }

    async fn get(&self, id: ProductId) -> Result<Option<Product>, StoreError> {
        let found = mongodb::within(self.products.find_one(doc! { "_id": super::id(id.0) })).await?;
        found.map(ProductDocument::product).transpose()
    }

    async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError> {
        let ids: Vec<bson::Uuid> = ids.iter().map(|id| super::id(id.0)).collect();
        let found = async { self.products.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await };
        products(mongodb::within(found).await?)
    }

    async fn list(&self, words: &[String], behind: Option<&Sku>, limit: u32) -> Result<Vec<Product>, StoreError> {
        let mut filter = Document::new();
        let wanted = words::all_begin_a_word(words);
        if !words.is_empty() && wanted.is_empty() {
            return Ok(Vec::new());
        }
        if !wanted.is_empty() {
            filter.insert("$and", wanted);
        }
        if let Some(behind) = behind {
            filter.insert("sku", doc! { "$gt": behind.as_str() });
        }
        let page = self.products.find(filter).sort(doc! { "sku": 1 }).limit(i64::from(limit));
        products(mongodb::within(async { page.await?.try_collect().await }).await?)
    }

    async fn update(&self, product: &Product, expected: u64) -> Result<bool, StoreError> {
        let stored = doc! { "_id": id(product.id.0), "version": number(expected) };
        let done = mongodb::within(self.products.update_one(stored, doc! { "$set": described(product) })).await?;
        Ok(done.matched_count == 1)
    }

    async fn restock(&self, id: ProductId, delivery: Delivery, key: &Key) -> Result<Keyed, StoreError> {
        let (product, pieces) = (super::id(id.0), delivery.pieces());
        let with_keys = self.products.clone_with_type::<WithKeys>();
        for tried in 0..TRIES {
            tokio::time::sleep(PAUSE * tried).await;
            let room = doc! {
                "_id": product, "keys.key": { "$ne": keys::name(key) }, "available": { "$lte": Stock::MAX - pieces },
            };
            let delivered = doc! {
                "$inc": { "available": pieces, "restocked": pieces }, "$push": { "keys": keys::entry(key) },
            };
            let done = with_keys.find_one_and_update(room, delivered).return_document(ReturnDocument::After);
            if let Some(done) = mongodb::within(done).await? {
                return self.restocked(product, done, key).await;
            }
            if let Some(known) = self.recall(doc! { "_id": product }, key).await? {
                return Ok(known);
            }
            let too_much = doc! { "_id": product, "available": { "$lte": Stock::MAX - pieces } };
            if mongodb::within(self.products.find_one(too_much)).await?.is_none() {
                return Ok(Keyed::Refused);
            }
        }
        Err(contention())
    }
}

impl MongoStore {
    /// What the key was used for before.
    async fn recall(&self, filter: Document, key: &Key) -> Result<Option<Keyed>, StoreError> {
        let products = self.products.clone_with_type::<WithKeys>();
        let Some(found) = mongodb::within(products.find_one(filter)).await? else {
            return Ok(None);
        };
        found.recall(key)
    }

    /// Forgets the keys that are too old, so that the document does not grow for ever.
    async fn restocked(&self, product: bson::Uuid, done: WithKeys, key: &Key) -> Result<Keyed, StoreError> {
        let old = keys::forgotten_before(key.at);
        if done.has_older_than(old) {
            let forget = doc! { "$pull": { "keys": { "at": { "$lt": old } } } };
            mongodb::within(self.products.update_one(doc! { "_id": product }, forget)).await?;
        }
        Ok(Keyed::Done(Box::new(done.product.product()?)))
    }
}

fn new(product: &Product, key: Option<&Key>) -> Document {
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
    document.extend(described(product));
    if let Some(key) = key {
        document.insert("created_by", keys::entry(key));
    }
    document
}

/// What a change of a product may change.
fn described(product: &Product) -> Document {
    let price = product.price.money();
    doc! {
        "name": product.name.as_str(),
        "description": product.description.as_str(),
        "price": price.amount,
        "currency": price.currency.code(),
        "version": number(product.version),
        "updated_at": micros(product.updated_at),
        "words": words::of(product),
    }
}

fn products(found: Vec<ProductDocument>) -> Result<Vec<Product>, StoreError> {
    found.into_iter().map(ProductDocument::product).collect()
}
