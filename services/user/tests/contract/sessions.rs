//! What a store of sessions promises.

use futures::future::join_all;
use time::Duration;
use user::{
    app::ports::Session,
    domain::{Role, SessionId},
};
use uuid::Uuid;

use crate::fixture::{NOW, Stores, email};

pub(crate) async fn a_token_is_good_for_one_use(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let id = stores.open(ada.id, [1; 32]).await;
    let session = Session { id, user: ada.id, role: Role::Customer };
    assert_eq!(stores.rotate([1; 32], [2; 32]).await, Some(session));
    assert_eq!(stores.rotate([2; 32], [3; 32]).await, Some(session));
}

pub(crate) async fn a_second_use_revokes_the_family(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let other = stores.open(ada.id, [9; 32]).await;
    assert!(stores.rotate([1; 32], [2; 32]).await.is_some());
    assert_eq!(stores.rotate([1; 32], [3; 32]).await, None);
    assert_eq!(stores.rotate([2; 32], [4; 32]).await, None, "the family is revoked");
    assert_eq!(stores.rotate([3; 32], [4; 32]).await, None, "nothing came of the second use");
    assert_eq!(stores.rotate([9; 32], [8; 32]).await.map(|s| s.id), Some(other), "other sessions go on");
}

pub(crate) async fn of_several_uses_at_once_one_wins(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let won = join_all((10..18).map(|new| stores.rotate([1; 32], [new; 32]))).await;
    assert_eq!(won.iter().flatten().count(), 1);
    for new in 10..18 {
        assert_eq!(stores.rotate([new; 32], [new + 100; 32]).await, None);
    }
}

pub(crate) async fn a_revoked_session_lets_nobody_in(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let id = stores.open(ada.id, [1; 32]).await;
    for _ in 0..2 {
        stores.sessions.revoke(id, NOW).await.unwrap();
    }
    assert_eq!(stores.rotate([1; 32], [2; 32]).await, None);
    stores.sessions.revoke(SessionId(Uuid::now_v7()), NOW).await.unwrap();
}

pub(crate) async fn an_expired_or_unknown_token_lets_nobody_in(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let late = NOW + Duration::HOUR;
    assert_eq!(stores.sessions.rotate(&[1; 32], &[2; 32], late, late).await.unwrap(), None);
    assert_eq!(stores.rotate([7; 32], [8; 32]).await, None);
    assert!(stores.rotate([1; 32], [2; 32]).await.is_some(), "being late revoked nothing");
}

pub(crate) async fn a_new_role_counts_from_the_next_token(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    stores.accounts.set_role(&email("ada@example.com"), Role::Operator).await.unwrap();
    assert_eq!(stores.rotate([1; 32], [2; 32]).await.map(|s| s.role), Some(Role::Operator));
}

pub(crate) async fn only_an_active_account_begins_a_session(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.begin_closing(&ada, NOW).await;
    let session = Session { id: SessionId(Uuid::now_v7()), user: ada.id, role: Role::Customer };
    assert!(!stores.sessions.open(&session, &[1; 32], NOW, NOW + Duration::HOUR).await.unwrap());
    assert_eq!(stores.rotate([1; 32], [2; 32]).await, None);
}

pub(crate) async fn what_ended_is_pruned(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    stores.rotate([1; 32], [2; 32]).await;
    assert_eq!(stores.sessions.prune(NOW, 100).await.unwrap(), 0);
    assert_eq!(stores.sessions.prune(NOW + Duration::HOUR, 1).await.unwrap(), 2, "one token and the session");
    assert_eq!(stores.sessions.prune(NOW + Duration::HOUR, 100).await.unwrap(), 0);
    assert_eq!(stores.rotate([2; 32], [3; 32]).await, None);
}
