//! What a store of signing keys promises.

use futures::future::join_all;
use time::Duration;
use user::{
    app::ports::{AuditEntry, StoredKey},
    domain::OperatorAction,
};

use crate::fixture::{NOW, Stores};

pub(crate) fn key(kid: &str, predecessor: &str, days: i64) -> StoredKey {
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
    stores.keys.add(&old, None).await.unwrap();
    stores.keys.add(&new, None).await.unwrap();
    assert_eq!(stores.keys.all().await.unwrap(), [old, new.clone()]);
    stores.keys.remove("z").await.unwrap();
    assert_eq!(stores.keys.all().await.unwrap(), [new]);
}

pub(crate) async fn a_key_has_one_successor(stores: Stores) {
    let mut chain: Vec<StoredKey> = Vec::new();
    for days in [0, 30] {
        let predecessor = chain.last().map(|key| key.kid.clone()).unwrap_or_default();
        let candidates = ["a", "b", "c", "d"].map(|kid| key(&format!("{kid}{days}"), &predecessor, days));
        for added in join_all(candidates.iter().map(|candidate| stores.keys.add(candidate, None))).await {
            added.unwrap();
        }
        let all = stores.keys.all().await.unwrap();
        let (youngest, older) = all.split_last().unwrap();
        assert_eq!(older, chain, "of those that came at once, one was stored");
        assert!(candidates.contains(youngest));
        chain = all;
    }
}

pub(crate) async fn a_key_signs_earlier_and_never_later(stores: Stores) {
    stores.keys.add(&key("a", "", 30), None).await.unwrap();
    for (days, expected) in [(31, 30), (2, 2), (7, 2)] {
        // Entries have ids of their own.
        let entry = || AuditEntry::new(OperatorAction::RotateKeys, NOW);
        stores.keys.expedite("a", NOW + Duration::days(days), &entry()).await.unwrap();
        stores.keys.expedite("b", NOW, &entry()).await.unwrap();
        assert_eq!(stores.keys.all().await.unwrap(), [key("a", "", expected)]);
    }
}
