//! Orders, products and closing accounts on MongoDB, without transactions.
//!
//! An order is one document with its events inside, so a change of an order and what it causes are one update. Only
//! stock is another document's: `stock` changes it exactly once however often it is tried, `placing` and
//! `returning` say in the order's document what is under way, so that whoever comes next can finish it.
//! Why it is so stands in docs/adr/0008-orders-without-transactions.md.

mod accounts;
mod audit;
mod documents;
mod keys;
mod orders;
mod placing;
mod products;
mod returning;
mod stock;
mod words;

use std::time::Duration;

use clock::SharedClock;
use messaging::Wake;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{self, Bson, Document, doc},
    options::IndexOptions,
};
use uuid::Uuid;

use self::documents::{OrderDocument, ProductDocument};
use crate::app::ports::StoreError;

const ORDERS: &str = "orders";
const PRODUCTS: &str = "products";
/// After this long whoever was placing an order, or giving its stock back, is taken for dead. If it is not, no harm is
/// done; it is longer than a request may take.
const ABANDONED: Duration = Duration::from_secs(15);

/// The store. All the ports of one database.
#[derive(Clone)]
pub struct MongoStore {
    database: Database,
    orders: Collection<OrderDocument>,
    products: Collection<ProductDocument>,
    closing: Collection<Document>,
    wake: Wake,
    clock: SharedClock,
    abandoned: Duration,
}

impl MongoStore {
    /// A store on a database that [`prepare`] has prepared; `wake` tells the relay of new events.
    pub fn new(database: &Database, wake: Wake, clock: SharedClock) -> Self {
        Self {
            database: database.clone(),
            orders: database.collection(ORDERS),
            products: database.collection(PRODUCTS),
            closing: database.collection("closing_accounts"),
            wake,
            clock,
            abandoned: ABANDONED,
        }
    }

    /// Sets after how long somebody is taken for dead; 15 s where this is not called.
    pub fn with_abandoned(self, abandoned: Duration) -> Self {
        Self { abandoned, ..self }
    }
}

/// The relay's side of the orders' events.
pub fn outbox(database: &Database, clock: SharedClock) -> mongodb::Outbox {
    // The events of an order have its id as their key.
    let order = |key: &str| Uuid::try_parse(key).map_or_else(|_| Bson::from(key), |key| Bson::from(id(key)));
    mongodb::Outbox::new(database, ORDERS, order, clock)
}

/// Makes the indexes; what is there stays.
///
/// # Errors
/// The server says no.
pub async fn prepare(database: &Database) -> Result<(), mongodb::Error> {
    let index = |keys: Document, unique: bool, sparse: bool| {
        let options = IndexOptions::builder().unique(unique).sparse(sparse).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let orders = [
        // A user's orders, newest first, and those in some states.
        index(doc! { "user": 1, "created_at": -1, "_id": -1 }, false, false),
        // Everybody's, newest first.
        index(doc! { "created_at": -1, "_id": -1 }, false, false),
        // What the sweeper looks for, among the orders that have not come to rest.
        index(doc! { "due_at": 1 }, false, true),
        // Steps over several documents that are under way: those left behind, and whether one is over.
        index(doc! { "stage.at": 1 }, false, true),
        index(doc! { "stage.op": 1 }, false, true),
    ];
    mongodb::within(database.collection::<Document>(ORDERS).create_indexes(orders)).await?;
    let products = [
        // The order of the catalogue; no two share a number.
        index(doc! { "sku": 1 }, true, false),
        // A key creates one product. Those of deliveries are each one product's and guarded by its update.
        index(doc! { "created_by.key": 1 }, true, true),
        // Words by their beginnings.
        index(doc! { "words": 1 }, false, false),
    ];
    mongodb::within(database.collection::<Document>(PRODUCTS).create_indexes(products)).await?;
    mongodb::prepare(database, ORDERS).await
}

impl From<mongodb::Error> for StoreError {
    fn from(error: mongodb::Error) -> Self {
        if error.is_unavailable() { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}

/// A stored value that cannot be: somebody else wrote it.
#[derive(Debug, thiserror::Error)]
#[error("the stored {0} makes no sense")]
struct Corrupt(&'static str);

fn corrupt(what: &'static str) -> StoreError {
    StoreError::Failed(Corrupt(what).into())
}

/// So many others change the same documents that it did not come to an end.
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
