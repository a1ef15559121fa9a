//! Orders, products, closing and disabled accounts on MongoDB, without transactions.
//!
//! An order is one document with its events inside, so a change of an order and what it causes are one update. Only
//! stock is in other documents: `stock` changes it exactly once however often it is tried, `placing` and `release`
//! write into the order's document which stage it is in, so that whoever comes next can complete it.
//! The reasons are in docs/adr/0008-orders-without-transactions.md.

mod accounts;
mod audit;
mod documents;
mod gates;
mod keys;
mod orders;
mod placing;
mod products;
mod release;
mod search;
mod server_time;
mod stock;

use std::time::Duration;

use clock::SharedClock;
use futures::TryStreamExt as _;
use messaging::Wake;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{self, Bson, Document, doc},
    options::IndexOptions,
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use self::{
    documents::{OrderDocument, ProductDocument},
    gates::Gates,
    server_time::ServerTime,
};
use crate::app::ports::StoreError;

const ORDERS: &str = "orders";
const PRODUCTS: &str = "products";
/// How long an order may be in a stage before the process that put it there is taken for dead. If it is not, no harm is
/// done; it is longer than a request may take.
const STAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// The store. All the ports of one database.
#[derive(Clone)]
pub struct MongoStore {
    database: Database,
    orders: Collection<OrderDocument>,
    products: Collection<ProductDocument>,
    closing: Collection<Document>,
    disabled: Collection<Document>,
    gates: Gates,
    server_time: ServerTime,
    wake: Wake,
    clock: SharedClock,
    stage_timeout: Duration,
}

impl MongoStore {
    /// A store on a database that [`prepare`] has prepared; `wake` tells the relay of new events.
    pub fn new(database: &Database, wake: Wake, clock: SharedClock) -> Self {
        Self {
            database: database.clone(),
            orders: database.collection(ORDERS),
            products: database.collection(PRODUCTS),
            closing: database.collection("closing_accounts"),
            disabled: database.collection("disabled_accounts"),
            gates: Gates::default(),
            server_time: ServerTime::default(),
            wake,
            clock,
            stage_timeout: STAGE_TIMEOUT,
        }
    }

    /// Sets how long an order may be in a stage before another process carries it on; 15 s by default.
    pub fn with_stage_timeout(self, stage_timeout: Duration) -> Self {
        Self { stage_timeout, ..self }
    }

    /// What a pipeline over the orders gives.
    async fn aggregate<T: DeserializeOwned + Send + Sync + Unpin>(
        &self,
        pipeline: Vec<Document>,
    ) -> Result<Vec<T>, StoreError> {
        aggregate(&self.orders.clone_with_type(), pipeline).await
    }
}

/// What a pipeline over a collection gives.
async fn aggregate<T: DeserializeOwned + Send + Sync + Unpin>(
    collection: &Collection<Document>,
    pipeline: Vec<Document>,
) -> Result<Vec<T>, StoreError> {
    let found = async { collection.aggregate(pipeline).await?.try_collect::<Vec<Document>>().await };
    let read = |sum| bson::deserialize_from_bson(Bson::Document(sum)).map_err(|error| StoreError::Failed(error.into()));
    let summary = format!("aggregate {}", collection.name());
    mongodb::within(&summary, found).await?.into_iter().map(read).collect()
}

/// The relay's side of the events of orders and products.
pub fn outbox(database: &Database, clock: SharedClock) -> mongodb::Outbox {
    // The events of an order or a product have its id as their key.
    let document = |key: &str| Uuid::try_parse(key).map_or_else(|_| Bson::from(key), |key| Bson::from(id(key)));
    mongodb::Outbox::new(database, [ORDERS, PRODUCTS], document, clock)
}

/// Makes the indexes that are missing.
///
/// # Errors
/// The server does not answer, or refuses.
pub async fn prepare(database: &Database) -> Result<(), mongodb::Error> {
    let index = |keys: Document, unique: bool, sparse: bool| {
        let options = IndexOptions::builder().unique(unique).sparse(sparse).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let orders = [
        // A user's orders, newest first.
        index(doc! { "user": 1, "created_at": -1, "_id": -1 }, false, false),
        // Those with some statuses: few, however many have ended.
        index(doc! { "user": 1, "status": 1 }, false, false),
        // Everybody's, newest first.
        index(doc! { "created_at": -1, "_id": -1 }, false, false),
        // Orders that are due: only those with a next step have the field.
        index(doc! { "due_at": 1 }, false, true),
        // Operations in progress: those to be recovered, and whether one is over.
        index(doc! { "stage.at": 1 }, false, true),
        index(doc! { "stage.op": 1 }, false, true),
    ];
    mongodb::within("createIndexes orders", database.collection::<Document>(ORDERS).create_indexes(orders)).await?;
    let products = [
        // The sequence of the catalogue; no two products share an article number.
        index(doc! { "sku": 1 }, true, false),
        // A key creates one product. The keys of restocks belong to one product each, whose update checks them.
        index(doc! { "created_by.key": 1 }, true, true),
        // Search tokens by their prefixes.
        index(doc! { "words": 1 }, false, false),
    ];
    mongodb::within("createIndexes products", database.collection::<Document>(PRODUCTS).create_indexes(products))
        .await?;
    mongodb::prepare(database, ORDERS).await?;
    mongodb::prepare(database, PRODUCTS).await
}

impl From<mongodb::Error> for StoreError {
    fn from(error: mongodb::Error) -> Self {
        if error.is_unavailable() { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}

/// A stored value that this service would not have written.
#[derive(Debug, thiserror::Error)]
#[error("the stored {0} is not valid")]
struct Corrupt(&'static str);

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Failed(Corrupt(what).into())
}

/// Others changed the same documents at every try.
#[derive(Debug, thiserror::Error)]
#[error("too many changes of the same documents at once")]
struct Contention;

fn contention() -> StoreError {
    StoreError::Unavailable(Contention.into())
}

/// An id as it is stored: binary, subtype 4.
fn id(id: Uuid) -> bson::Uuid {
    bson::Uuid::from_bytes(id.into_bytes())
}

fn uuid(id: bson::Uuid) -> Uuid {
    Uuid::from_bytes(id.bytes())
}
