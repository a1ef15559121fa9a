//! What a store of signing keys promises.

use futures::future::join_all;
use time::Duration;
use user::app::ports::StoredKey;

use crate::stores::{NOW, Stores};

fn key(kid: &str, predecessor: &str, days: i64) -> StoredKey {
    StoredKey {
        kid: kid.to_owned(),
        predecessor: predecessor.to_owned(),
        pkcs8: kid.as_bytes().to_vec(),
        used_from: NOW + Duration::days(days),
    }
}

pub(crate) async fn keys_come_oldest_first_and_go(stores: Stores) {
    assert_eq!(stores.keys.all().await.unwrap(), []);
    let (old, new) = (key("z", "", 0), key("a", "z", 30));
    stores.keys.add(&old).await.unwrap();
    stores.keys.add(&new).await.unwrap();
    assert_eq!(stores.keys.all().await.unwrap(), [old, new.clone()]);
    stores.keys.remove("z").await.unwrap();
    assert_eq!(stores.keys.all().await.unwrap(), [new]);
}

pub(crate) async fn a_key_has_one_successor(stores: Stores) {
    let kids = ["a", "b", "c", "d"];
    let firsts = kids.map(|kid| key(kid, "", 0));
    join_all(firsts.iter().map(|first| stores.keys.add(first))).await;
    let all = stores.keys.all().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(kids.contains(&all[0].kid.as_str()));
}
