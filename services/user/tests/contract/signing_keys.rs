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

/// Whoever makes the next one has to know that it is there.
pub(crate) async fn a_key_that_cannot_be_read_keeps_its_place(stores: Stores) {
    let (old, bad) = (key("old", "", 0), key("bad", "old", 30));
    stores.keys.add(&old, None).await.unwrap();
    stores.keys.add(&bad, None).await.unwrap();
    let damage = stores.only_on(
        "UPDATE signing_keys SET used_from = 'infinity' WHERE kid = 'bad'",
        "UPDATE signing_keys SET used_from = 9223372036854775807 WHERE kid = 'bad'",
    );
    stores.execute(damage).await.unwrap();
    let mut found = stores.keys.all().await.unwrap();
    found.sort_by(|a, b| a.predecessor.cmp(&b.predecessor));
    assert_eq!((&found[0], &*found[1].kid, &*found[1].predecessor), (&old, "bad", "old"));
    assert_ne!(found[1], bad);
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
