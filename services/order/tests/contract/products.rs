//! The catalogue: adding, changing, listing, searching.

use order::{
    app::ports::Keyed,
    domain::{
        ids::ProductId,
        product::Change,
        values::{Description, Name, Sku},
    },
};
use uuid::Uuid;

use crate::fixture::{Stores, after, of_user_1, product};

pub async fn what_is_added_is_found(stores: Stores) {
    let (mut a, b) = (product("a", 5), product("b", 0));
    a.description = Description::parse("Two\nlines").unwrap();
    for product in [&a, &b] {
        assert_eq!(stores.products.create(product, None).await.unwrap(), Keyed::Done(Box::new(product.clone())));
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
    assert_eq!(stores.products.create(&other, None).await.unwrap(), Keyed::Refused);
    assert_eq!(stores.products.get(other.id).await.unwrap(), None);
    stores.stocked("A", 1).await;
}

pub async fn an_update_needs_the_version(stores: Stores) {
    let mut a = product("a", 5);
    stores.products.create(&a, None).await.unwrap();
    let name = Change { name: Some(Name::parse("New").unwrap()), ..Change::default() };
    assert!(a.change(name, after(1)));
    assert!(stores.products.update(&a, 1).await.unwrap());
    assert_eq!(stores.products.get(a.id).await.unwrap().as_ref(), Some(&a));
    assert!(!stores.products.update(&a, 1).await.unwrap());
}

pub async fn an_update_leaves_the_stock_alone(stores: Stores) {
    let mut a = product("a", 5);
    stores.products.create(&a, None).await.unwrap();
    stores.placed(&of_user_1("k", &[(a.id, 2)])).await;
    assert_eq!(stores.products.get(a.id).await.unwrap().unwrap().version, 1);
    a.change(Change { name: Some(Name::parse("New").unwrap()), ..Change::default() }, after(1));
    assert!(stores.products.update(&a, 1).await.unwrap());
    assert_eq!(stores.available(a.id).await, 3);
}

async fn found(stores: &Stores, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let products = stores.products.list(&words, None, 100).await.unwrap();
    products.into_iter().map(|product| product.sku.to_string()).collect()
}

async fn add(stores: &Stores, sku: &str, name: &str, description: &str) -> ProductId {
    let mut product = product(sku, 1);
    product.name = Name::parse(name).unwrap();
    product.description = Description::parse(description).unwrap();
    stores.products.create(&product, None).await.unwrap();
    product.id
}

pub async fn pages_go_by_sku(stores: Stores) {
    for sku in ["d", "a", "c", "b"] {
        stores.stocked(sku, 1).await;
    }
    assert_eq!(found(&stores, &[]).await, ["a", "b", "c", "d"]);
    let behind = Sku::parse("a").unwrap();
    let page = stores.products.list(&[], Some(&behind), 2).await.unwrap();
    assert_eq!(page.iter().map(|p| p.sku.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    stores.stocked("aa", 1).await;
    let page = stores.products.list(&["prod".to_owned()], Some(&page[1].sku), 9).await.unwrap();
    assert_eq!(page.len(), 1);
}

pub async fn words_are_found_by_their_beginnings(stores: Stores) {
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
        found(&stores, &[word]).await;
    }
}

pub async fn the_text_follows_changes(stores: Stores) {
    let id = add(&stores, "a", "Blue mug", "").await;
    let mut product = stores.products.get(id).await.unwrap().unwrap();
    product.change(Change { name: Some(Name::parse("Green cup").unwrap()), ..Change::default() }, after(1));
    stores.products.update(&product, 1).await.unwrap();
    assert_eq!(found(&stores, &["blue"]).await, [""; 0]);
    assert_eq!(found(&stores, &["green"]).await, ["a"]);
}
