//! Cases about values that are invalidated together.

use std::{sync::Arc, time::Duration};

use super::{Source, cache, fresh_key};
use crate::{Cache, Store};

/// Keys are `GROUP.NAME`, and tagged by their group.
fn tagged(store: &Arc<dyn Store>) -> Cache<String, String> {
    cache(store).with_tags(|key| vec![group(key), "all".to_owned()])
}

fn group(key: &str) -> String {
    key.split('.').next().unwrap_or_default().to_owned()
}

pub async fn tag_invalidates_its_keys_and_no_others(store: Arc<dyn Store>) {
    let (cache, source, own, other) = (tagged(&store), Source::new(Duration::ZERO), fresh_key(), fresh_key());
    let keys = [format!("{own}.a"), format!("{own}.b"), format!("{other}.a")];
    for key in &keys {
        assert_eq!(source.read(&cache, key).await, "1");
        assert_eq!(cache.get(key).await.unwrap(), "1");
    }
    source.write();
    cache.invalidate_tag(&own).await;
    assert_eq!((cache.get(&keys[0]).await, cache.get(&keys[1]).await), (None, None));
    assert_eq!(cache.get(&keys[2]).await.unwrap(), "1", "of another tag");
    assert_eq!(source.read(&cache, &keys[0]).await, "2");
    assert_eq!(cache.get(&keys[0]).await.unwrap(), "2", "stored anew");
    source.write();
    cache.invalidate_tag("all").await;
    for key in &keys {
        assert_eq!(source.read(&cache, key).await, "3");
    }
}

pub async fn tag_refuses_the_fill_and_newcomers(store: Arc<dyn Store>) {
    let (cache, source, key) = (tagged(&store), Source::new(Duration::from_millis(200)), fresh_key() + ".a");
    let (early, late) = tokio::join!(source.read(&cache, &key), async {
        source.loading().await;
        source.write();
        cache.invalidate_tag(&group(&key)).await;
        source.read(&cache, &key).await
    });
    assert_eq!((&*early, &*late), ("1", "2"), "who asks after the invalidation gets what is new");
    assert_eq!(source.read(&cache, &key).await, "2", "whichever was stored last");
    assert_ne!(cache.get(&key).await.as_deref(), Some("1"));
}

pub async fn tagged_put_only_removes(store: Arc<dyn Store>) {
    let (cache, source, key) = (tagged(&store), Source::new(Duration::ZERO), fresh_key() + ".a");
    assert_eq!(source.read(&cache, &key).await, "1");
    cache.put(&key, Some(&"2".to_owned()), 2).await;
    assert_eq!(cache.get(&key).await, None, "its tags may have been invalidated since it was written");
}

pub async fn tags_reach_the_other_node(store: Arc<dyn Store>) {
    let (here, there, key) = (tagged(&store), tagged(&store), fresh_key() + ".a");
    let source = Source::new(Duration::ZERO);
    assert_eq!((source.read(&here, &key).await, source.read(&there, &key).await), ("1".to_owned(), "1".to_owned()));
    assert_eq!(source.loads(), 1, "both know the same stamps");
    source.write();
    here.invalidate_tag(&group(&key)).await;
    assert_eq!(source.read(&there, &key).await, "2");
}
