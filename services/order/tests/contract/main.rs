//! The contracts of the stores' ports, over every adapter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod accounts;
mod audit;
mod fixture;
mod mongodb_interrupted;
mod mongodb_own;
mod orders;
mod products;
mod search;
mod search_server;

use std::{sync::Arc, time::Duration};

use ::mongodb::bson::{self, Document, doc};
use clock::SharedClock;
use messaging::Wake;
use order::adapters::{
    mongodb::{self, MongoStore},
    sqlite::{SqliteStore, open},
};
use uuid::Uuid;

use fixture::{Spoil, Stores};

/// The stores on an empty `SQLite` database.
async fn sqlite() -> Stores {
    let database = open("sqlite::memory:").await.unwrap();
    let outbox = ::sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    let spoiled = database.clone();
    let spoil: Spoil = Arc::new(move |id: Uuid| {
        let write = spoiled.write.clone();
        Box::pin(async move {
            for spoil in [
                "UPDATE orders SET status = 'nonsense' WHERE id = ?1",
                "UPDATE products SET currency = 'nonsense' WHERE id = ?1",
            ] {
                sqlx::query(spoil).bind(id.as_bytes().to_vec()).execute(&write).await.unwrap();
            }
        })
    });
    Stores::of(SqliteStore::new(database, Wake::default()), outbox, spoil)
}

/// The stores on an empty database of a server that speaks MongoDB's protocol.
async fn mongodb() -> Option<Stores> {
    let url = testkit::servers::MongoDb::shared().await?.database();
    Some(on_mongodb(&url, Duration::from_mins(1)).await)
}

/// The same as another process opens it; `stage_timeout` is how long an order may be in a stage before it is recovered.
async fn on_mongodb(url: &str, stage_timeout: Duration) -> Stores {
    on_mongodb_at(url, stage_timeout, clock::system()).await
}

/// The same by a clock of its own.
async fn on_mongodb_at(url: &str, stage_timeout: Duration, clock: SharedClock) -> Stores {
    let database = ::mongodb::connect(url, "contract").await.unwrap();
    mongodb::prepare(&database).await.unwrap();
    let store = MongoStore::new(&database, Wake::default(), clock.clone()).with_stage_timeout(stage_timeout);
    let collections = [("orders", "status"), ("products", "currency")];
    let collections = collections.map(|(name, field)| (database.collection::<Document>(name), field));
    let spoil: Spoil = Arc::new(move |id: Uuid| {
        let collections = collections.clone();
        Box::pin(async move {
            let id = bson::Uuid::from_bytes(id.into_bytes());
            for (collection, field) in collections {
                collection.update_one(doc! { "_id": id }, doc! { "$unset": { field: "" } }).await.unwrap();
            }
        })
    });
    Stores::of(store, mongodb::outbox(&database, clock), spoil)
}

macro_rules! stores {
    ($run:path, $how:tt) => {
        $run! { $how [crate]
            orders {
                placing_stores_reserves_and_emits,
                placing_again_finds_it,
                of_many_at_once_one_places,
                too_little_stock_reserves_nothing,
                every_short_line_is_named,
                stock_never_goes_below_zero,
                orders_are_listed_newest_first,
                pages_have_no_gap_and_no_double,
                a_users_orders_are_found_by_status,
                a_change_is_stored_with_its_event,
                stock_comes_back_when_it_is_released,
                a_stale_version_changes_nothing,
                of_many_changes_at_once_one_is_stored,
                an_event_is_applied_once,
                an_event_with_a_recorded_receipt_is_not_applied,
                due_orders_come_longest_waiting_first,
                what_is_due_too_far_ahead_is_due,
                sagas_under_way_are_counted,
                one_that_cannot_be_read_holds_up_no_other,
                every_state_comes_back_as_it_went,
                the_last_pieces_go_to_somebody,
                released_stock_is_sold_once,
                many_orders_of_one_product_add_up,
                one_product_is_ordered_about_as_fast_as_many,
                a_closing_decides_over_the_stored_order,
            }
            products {
                what_is_added_is_found,
                a_sku_is_taken_once,
                an_update_needs_the_version,
                an_update_leaves_the_stock_alone,
                pages_go_by_sku,
                a_product_that_cannot_be_read_holds_up_no_other,
                words_are_found_by_their_prefixes,
                all_words_must_match,
                a_query_is_no_language,
                the_text_follows_changes,
                the_same_key_adds_once,
                a_key_with_another_body_is_refused,
                a_key_belongs_to_user_and_command,
                a_refusal_leaves_the_key_unused,
                of_many_at_once_one_is_added,
                restocking_counts_once_a_key,
                too_much_stock_is_refused,
                a_key_is_kept_a_day,
            }
            accounts {
                a_closing_account_takes_no_order,
                an_account_is_disabled_as_its_latest_version_says,
                an_order_wins_or_the_closing_does,
            }
            audit {
                nothing_adds_up_to_nothing,
                orders_and_stock_add_up,
                money_is_summed_by_currency,
                orders_and_customers_are_listed_by_id,
                what_cannot_be_read_is_audited_like_the_rest,
            }
        }
    };
}
pub(crate) use stores;

macro_rules! searches {
    ($run:path, $how:tt) => {
        $run! { $how [crate]
            search {
                words_are_found_by_their_beginnings,
                every_word_must_be_found,
                what_is_searched_for_is_no_language,
                a_change_is_found,
                filters_narrow,
                facets_count_all_that_is_found,
                pages_of_every_sort_have_no_gap_and_no_double,
            }
        }
    };
}
pub(crate) use searches;

/// As a later version might have them.
#[tokio::test]
async fn lines_that_are_no_objects_hide_no_other_order() {
    let database = open("sqlite::memory:").await.unwrap();
    let outbox = ::sqlite::Outbox::open(database.clone(), clock::system()).await.unwrap();
    let stores = Stores::of(SqliteStore::new(database.clone(), Wake::default()), outbox, Arc::new(|_| unreachable!()));
    let a = stores.stocked("a", 9).await;
    let orders = [fixture::of_user_1("1", &[(a, 1)]), fixture::of_user_1("2", &[(a, 2)])];
    for order in &orders {
        stores.placed(order).await;
    }
    let spoil = "UPDATE orders SET items = '[\"abc\", 5, null]' WHERE id = ?1";
    sqlx::query(spoil).bind(orders[0].id.0.as_bytes().to_vec()).execute(&database.write).await.unwrap();
    assert_eq!(stores.audit.orders(None, 9).await.unwrap().len(), 2);
    let violations = stores.audit.totals().await.unwrap().violations;
    assert_eq!(violations.iter().map(|violation| violation.product).collect::<Vec<_>>(), [a], "what it holds is lost");
}

mod searching_in_sqlite {
    testkit::suite! { crate::searches, &{
        let database = crate::open("sqlite::memory:").await.unwrap();
        crate::search::InStore(crate::SqliteStore::new(database, crate::Wake::default()))
    } }
}

mod searching_in_mongodb {
    testkit::suite! { crate::searches, &match testkit::servers::MongoDb::shared().await {
        Some(server) => {
            let database = ::mongodb::connect(&server.database(), "contract").await.unwrap();
            crate::mongodb::prepare(&database).await.unwrap();
            crate::search::InStore(crate::MongoStore::new(&database, crate::Wake::default(), clock::system()))
        }
        None => return,
    } }
}

mod searching_on_opensearch {
    testkit::suite! { crate::searches, &match crate::search_server::indices().await {
        Some(indices) => indices,
        None => return,
    } }
}

mod over_sqlite {
    testkit::suite! { crate::stores, crate::sqlite().await }
}

mod over_mongodb {
    testkit::suite! { crate::stores, match crate::mongodb().await {
        Some(stores) => stores,
        None => return,
    } }
}
