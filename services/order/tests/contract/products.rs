//! The contract of the port `Products`: adding, changing, listing, searching, restocking; each command once per key.

use std::time::Duration;

use futures::future::join_all;
use order::{
    app::ports::{CommandKey, Idempotent},
    domain::{
        ids::ProductId,
        product::Change,
        values::{Description, Name, RestockQuantity, Sku, Stock},
    },
};
use uuid::Uuid;

use crate::fixture::{Stores, at, key, of_user_1, product, readable, user};

pub async fn what_is_added_is_found(stores: Stores) {
    let (mut a, b) = (product("a", 5), product("b", 0));
    a.description = Description::parse("Two\nlines").unwrap();
    for product in [&a, &b] {
        assert_eq!(
            stores.products.create(product, None, vec![]).await.unwrap(),
            Idempotent::Done(Box::new(product.clone()))
        );
    }
    let unknown = ProductId(Uuid::new_v4());
    assert_eq!(stores.products.get(a.id).await.unwrap().as_ref(), Some(&a));
    assert_eq!(stores.products.get(unknown).await.unwrap(), None);
    let mut many = stores.products.get_many(&[b.id, unknown, a.id]).await.unwrap();
    many.sort_by(|x, y| x.sku.cmp(&y.sku));
    assert_eq!(many, [a.clone(), b]);
    assert_eq!(stores.products.get_many(&[a.id]).await.unwrap(), [a]);
    assert_eq!(stores.products.get_many(&[unknown]).await.unwrap(), []);
}

pub async fn a_sku_is_taken_once(stores: Stores) {
    stores.stocked("a", 1).await;
    let other = product("a", 2);
    assert_eq!(stores.products.create(&other, None, vec![]).await.unwrap(), Idempotent::Refused);
    assert_eq!(stores.products.get(other.id).await.unwrap(), None);
    stores.stocked("A", 1).await;
}

pub async fn an_update_needs_the_version(stores: Stores) {
    let mut a = product("a", 5);
    stores.products.create(&a, None, vec![]).await.unwrap();
    let name = Change { name: Some(Name::parse("New").unwrap()), ..Change::default() };
    assert!(a.change(name, at(1)));
    assert!(stores.products.update(&a, 1, vec![]).await.unwrap());
    assert_eq!(stores.products.get(a.id).await.unwrap().as_ref(), Some(&a));
    assert!(!stores.products.update(&a, 1, vec![]).await.unwrap());
}

pub async fn an_update_leaves_the_stock_alone(stores: Stores) {
    let mut a = product("a", 5);
    stores.products.create(&a, None, vec![]).await.unwrap();
    stores.placed(&of_user_1("k", &[(a.id, 2)])).await;
    assert_eq!(stores.products.get(a.id).await.unwrap().unwrap().version, 1);
    a.change(Change { name: Some(Name::parse("New").unwrap()), ..Change::default() }, at(1));
    assert!(stores.products.update(&a, 1, vec![]).await.unwrap());
    assert_eq!(stores.available(a.id).await, 3);
}

async fn found(stores: &Stores, tokens: &[&str]) -> Vec<String> {
    let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
    let products = stores.products.list(&tokens, None, 100).await.unwrap();
    readable(products).into_iter().map(|product| product.sku.to_string()).collect()
}

async fn add(stores: &Stores, sku: &str, name: &str, description: &str) -> ProductId {
    let mut product = product(sku, 1);
    product.name = Name::parse(name).unwrap();
    product.description = Description::parse(description).unwrap();
    stores.products.create(&product, None, vec![]).await.unwrap();
    product.id
}

pub async fn pages_go_by_sku(stores: Stores) {
    for sku in ["d", "a", "c", "b"] {
        stores.stocked(sku, 1).await;
    }
    assert_eq!(found(&stores, &[]).await, ["a", "b", "c", "d"]);
    let after = Sku::parse("a").unwrap();
    let page = readable(stores.products.list(&[], Some(after), 2).await.unwrap());
    assert_eq!(page.iter().map(|p| p.sku.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    stores.stocked("aa", 1).await;
    let page = stores.products.list(&["prod".to_owned()], Some(page[1].sku.clone()), 9).await.unwrap();
    assert_eq!(page.len(), 1);
}

pub async fn a_product_that_cannot_be_read_holds_up_no_other(stores: Stores) {
    for sku in ["a", "b", "c"] {
        let id = stores.stocked(sku, 1).await;
        if sku == "b" {
            (stores.spoil)(id.0).await;
        }
    }
    let listed = stores.products.list(&[], None, 9).await.unwrap();
    let listed = listed.into_iter().map(|row| row.map(|product| product.sku).map_err(|spoiled| spoiled.key.unwrap()));
    let sku = |sku| Sku::parse(sku).unwrap();
    assert_eq!(listed.collect::<Vec<_>>(), [Ok(sku("a")), Err(sku("b")), Ok(sku("c"))]);
}

pub async fn words_are_found_by_their_prefixes(stores: Stores) {
    add(&stores, "MUG-1", "Stoneware mug", "With a speckled glaze").await;
    add(&stores, "POT-1", "Teapot", "For Äpfel and tea").await;
    for word in ["MUG-1", "mug", "stone", "SPECK", "g"] {
        assert_eq!(found(&stores, &[word]).await, ["MUG-1"], "{word}");
    }
    assert_eq!(found(&stores, &["äpf"]).await, ["POT-1"]);
    assert_eq!(found(&stores, &["1"]).await, ["MUG-1", "POT-1"]);
    assert_eq!(found(&stores, &["ware"]).await, [""; 0], "not from within a word");
}

pub async fn all_words_must_match(stores: Stores) {
    add(&stores, "a", "Blue mug", "").await;
    add(&stores, "b", "Red mug", "Not blue at all").await;
    assert_eq!(found(&stores, &["mug", "blue"]).await, ["a", "b"]);
    assert_eq!(found(&stores, &["mug", "red"]).await, ["b"]);
    assert_eq!(found(&stores, &["mug", "green"]).await, [""; 0]);
}

pub async fn a_query_is_no_language(stores: Stores) {
    add(&stores, "a", "Say \"cheese\" OR not", "").await;
    for word in ["\"cheese", "cheese\"", "OR", "not", "chee*", "cheese)"] {
        assert_eq!(found(&stores, &[word]).await, ["a"], "{word}");
    }
    for word in ["name:say", "NEAR(say)", "-cheese-x", "{sku}:a", "^b"] {
        assert_eq!(found(&stores, &[word]).await, [""; 0], "{word}");
    }
}

pub async fn the_text_follows_changes(stores: Stores) {
    let id = add(&stores, "a", "Blue mug", "").await;
    let mut product = stores.products.get(id).await.unwrap().unwrap();
    product.change(Change { name: Some(Name::parse("Green cup").unwrap()), ..Change::default() }, at(1));
    stores.products.update(&product, 1, vec![]).await.unwrap();
    assert_eq!(found(&stores, &["blue"]).await, [""; 0]);
    assert_eq!(found(&stores, &["green"]).await, ["a"]);
}

fn pieces(n: i64) -> RestockQuantity {
    RestockQuantity::parse(n).unwrap()
}

pub async fn the_same_key_adds_once(stores: Stores) {
    let first = product("a", 5);
    let done = stores.products.create(&first, Some(&key("k", 1)), vec![]).await.unwrap();
    assert_eq!(done, Idempotent::Done(Box::new(first.clone())));
    let again = stores.products.create(&product("a", 5), Some(&key("k", 1)), vec![]).await.unwrap();
    assert_eq!(again, Idempotent::Replayed(Box::new(first)));
}

pub async fn a_key_with_another_body_is_refused(stores: Stores) {
    stores.products.create(&product("a", 5), Some(&key("k", 1)), vec![]).await.unwrap();
    let other = product("b", 5);
    assert_eq!(stores.products.create(&other, Some(&key("k", 2)), vec![]).await.unwrap(), Idempotent::KeyReused);
    assert_eq!(stores.products.get(other.id).await.unwrap(), None);
}

pub async fn a_key_belongs_to_user_and_command(stores: Stores) {
    stores.products.create(&product("a", 5), Some(&key("k", 1)), vec![]).await.unwrap();
    let another_user = CommandKey { user: user(2), ..key("k", 1) };
    let done = stores.products.create(&product("b", 5), Some(&another_user), vec![]).await.unwrap();
    assert!(matches!(done, Idempotent::Done(_)));
    let another_command = CommandKey { command: "POST /elsewhere".to_owned(), ..key("k", 1) };
    let done = stores.products.create(&product("c", 5), Some(&another_command), vec![]).await.unwrap();
    assert!(matches!(done, Idempotent::Done(_)));
}

pub async fn a_refusal_leaves_the_key_unused(stores: Stores) {
    stores.stocked("a", 1).await;
    let refused = stores.products.create(&product("a", 5), Some(&key("k", 1)), vec![]).await.unwrap();
    assert_eq!(refused, Idempotent::Refused);
    let done = stores.products.create(&product("b", 5), Some(&key("k", 2)), vec![]).await.unwrap();
    assert!(matches!(done, Idempotent::Done(_)));
}

pub async fn of_many_at_once_one_is_added(stores: Stores) {
    let add = async |_| stores.products.create(&product("a", 5), Some(&key("k", 1)), vec![]).await.unwrap();
    let added = join_all((0..16).map(add)).await;
    assert_eq!(added.iter().filter(|keyed| matches!(keyed, Idempotent::Done(_))).count(), 1);
    assert_eq!(added.iter().filter(|keyed| matches!(keyed, Idempotent::Replayed(_))).count(), 15);
}

pub async fn restocking_counts_once_a_key(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let restock = async |n| stores.products.restock(a, pieces(n), &key("k", u8::try_from(n).unwrap())).await.unwrap();
    let Idempotent::Done(product) = restock(3).await else { panic!("not done") };
    assert_eq!((product.available, product.version), (8, 1));
    let Idempotent::Replayed(product) = restock(3).await else { panic!("not replayed") };
    assert_eq!(product.available, 8);
    assert_eq!(restock(4).await, Idempotent::KeyReused);
    assert_eq!(stores.available(a).await, 8);
}

pub async fn too_much_stock_is_refused(stores: Stores) {
    let a = stores.stocked("a", Stock::MAX - 2).await;
    assert_eq!(stores.products.restock(a, pieces(3), &key("k", 1)).await.unwrap(), Idempotent::Refused);
    assert_eq!(stores.available(a).await, Stock::MAX - 2);
    assert!(matches!(stores.products.restock(a, pieces(2), &key("k", 2)).await.unwrap(), Idempotent::Done(_)));
}

pub async fn a_key_is_kept_a_day(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let after = |hours: u64, text: &str| {
        let first = key(text, 1);
        CommandKey { at: first.at + Duration::from_secs(hours * 3600), ..first }
    };
    stores.products.restock(a, pieces(1), &after(0, "first")).await.unwrap();
    for n in 0..5 {
        stores.products.restock(a, pieces(1), &after(24, &format!("later {n}"))).await.unwrap();
    }
    let again = stores.products.restock(a, pieces(1), &after(24, "first")).await.unwrap();
    assert!(matches!(again, Idempotent::Replayed(_)));
}
