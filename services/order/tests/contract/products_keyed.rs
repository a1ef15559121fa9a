//! Commands on products, each once per idempotency key.

use std::time::Duration;

use futures::future::join_all;
use order::{
    app::ports::{Key, Keyed},
    domain::values::{Delivery, Stock},
};

use crate::fixture::{Stores, key, product, user};

fn pieces(n: i64) -> Delivery {
    Delivery::parse(n).unwrap()
}

pub async fn the_same_key_adds_once(stores: Stores) {
    let first = product("a", 5);
    let done = stores.products.create(&first, Some(&key("k", 1))).await.unwrap();
    assert_eq!(done, Keyed::Done(Box::new(first.clone())));
    let again = stores.products.create(&product("a", 5), Some(&key("k", 1))).await.unwrap();
    assert_eq!(again, Keyed::Replayed(Box::new(first)));
}

pub async fn another_body_is_told(stores: Stores) {
    stores.products.create(&product("a", 5), Some(&key("k", 1))).await.unwrap();
    let other = product("b", 5);
    assert_eq!(stores.products.create(&other, Some(&key("k", 2))).await.unwrap(), Keyed::OtherBody);
    assert_eq!(stores.products.get(other.id).await.unwrap(), None);
}

pub async fn a_key_belongs_to_user_and_command(stores: Stores) {
    stores.products.create(&product("a", 5), Some(&key("k", 1))).await.unwrap();
    let another_user = Key { user: user(2), ..key("k", 1) };
    let done = stores.products.create(&product("b", 5), Some(&another_user)).await.unwrap();
    assert!(matches!(done, Keyed::Done(_)));
    let another_command = Key { command: "POST /elsewhere".to_owned(), ..key("k", 1) };
    let done = stores.products.create(&product("c", 5), Some(&another_command)).await.unwrap();
    assert!(matches!(done, Keyed::Done(_)));
}

pub async fn a_refusal_is_not_remembered(stores: Stores) {
    stores.stocked("a", 1).await;
    let refused = stores.products.create(&product("a", 5), Some(&key("k", 1))).await.unwrap();
    assert_eq!(refused, Keyed::Refused);
    let done = stores.products.create(&product("b", 5), Some(&key("k", 2))).await.unwrap();
    assert!(matches!(done, Keyed::Done(_)));
}

pub async fn of_many_at_once_one_is_added(stores: Stores) {
    let add = async |_| stores.products.create(&product("a", 5), Some(&key("k", 1))).await.unwrap();
    let added = join_all((0..16).map(add)).await;
    assert_eq!(added.iter().filter(|keyed| matches!(keyed, Keyed::Done(_))).count(), 1);
    assert_eq!(added.iter().filter(|keyed| matches!(keyed, Keyed::Replayed(_))).count(), 15);
}

pub async fn restocking_counts_once_a_key(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let restock = async |n| stores.products.restock(a, pieces(n), &key("k", u8::try_from(n).unwrap())).await.unwrap();
    let Keyed::Done(product) = restock(3).await else { panic!("not done") };
    assert_eq!((product.available, product.version), (8, 1));
    let Keyed::Replayed(product) = restock(3).await else { panic!("not replayed") };
    assert_eq!(product.available, 8);
    assert_eq!(restock(4).await, Keyed::OtherBody);
    assert_eq!(stores.available(a).await, 8);
}

pub async fn too_much_stock_is_refused(stores: Stores) {
    let a = stores.stocked("a", Stock::MAX - 2).await;
    assert_eq!(stores.products.restock(a, pieces(3), &key("k", 1)).await.unwrap(), Keyed::Refused);
    assert_eq!(stores.available(a).await, Stock::MAX - 2);
    assert!(matches!(stores.products.restock(a, pieces(2), &key("k", 2)).await.unwrap(), Keyed::Done(_)));
}

pub async fn a_key_is_kept_a_day(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let at = |hours: u64, text: &str| {
        let first = key(text, 1);
        Key { at: first.at + Duration::from_secs(hours * 3600), ..first }
    };
    stores.products.restock(a, pieces(1), &at(0, "first")).await.unwrap();
    for n in 0..5 {
        stores.products.restock(a, pieces(1), &at(24, &format!("later {n}"))).await.unwrap();
    }
    let again = stores.products.restock(a, pieces(1), &at(24, "first")).await.unwrap();
    assert!(matches!(again, Keyed::Replayed(_)));
}
