//! What a store of sessions promises.

use futures::future::join_all;
use time::Duration;
use user::{
    app::ports::{AuditEntry, REPEAT_WITHIN, Renewed, Session},
    domain::{OperatorAction, PasswordHash, Role, SessionId},
};
use uuid::Uuid;

use crate::fixture::{NOW, Stores, email, hash, new_session};

pub(crate) async fn a_token_is_exchanged_for_its_successor(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let id = stores.open(ada.id, [1; 32]).await;
    let session = Session { id, user: ada.id, role: Role::Customer };
    assert_eq!(stores.renew([1; 32], [2; 32]).await, Some(Renewed { session, seed: [2; 32] }));
    assert_eq!(stores.renew([2; 32], [3; 32]).await, Some(Renewed { session, seed: [3; 32] }));
}

pub(crate) async fn a_token_shown_again_at_once_has_the_successor_that_it_had(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let first = stores.renew([1; 32], [2; 32]).await;
    assert!(first.is_some());
    for later in [Duration::ZERO, REPEAT_WITHIN.try_into().unwrap(), -Duration::SECOND] {
        assert_eq!(stores.renew_at(NOW + later, [1; 32], [9; 32]).await, first, "{later}");
    }
    assert_eq!(stores.renew([9; 32], [8; 32]).await, None, "nothing else was stored");
    assert!(stores.renew([2; 32], [3; 32]).await.is_some());
    assert!(stores.renew([2; 32], [9; 32]).await.is_some(), "so has the next one");
}

pub(crate) async fn a_second_use_after_the_successors_revokes_the_family(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let other = stores.open(ada.id, [9; 32]).await;
    assert!(stores.renew([1; 32], [2; 32]).await.is_some());
    assert!(stores.renew([2; 32], [3; 32]).await.is_some());
    assert_eq!(stores.renew([1; 32], [4; 32]).await, None);
    assert_eq!(stores.renew([3; 32], [5; 32]).await, None, "the family is revoked");
    assert_eq!(stores.renew([4; 32], [5; 32]).await, None, "nothing came of the second use");
    assert_eq!(stores.renew([9; 32], [8; 32]).await.map(|r| r.session.id), Some(other), "other sessions go on");
}

pub(crate) async fn a_late_second_use_revokes_the_family(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    for (late, token) in [(1, [10; 32]), (-1, [20; 32])] {
        stores.open(ada.id, token).await;
        assert!(stores.renew(token, [30; 32]).await.is_some());
        let again = NOW + (Duration::try_from(REPEAT_WITHIN).unwrap() + Duration::MICROSECOND) * late;
        assert_eq!(stores.renew_at(again, token, [40; 32]).await, None);
        assert_eq!(stores.renew([30; 32], [50; 32]).await, None, "the family is revoked");
        stores.sessions.prune(NOW + Duration::HOUR * 2, 100).await.unwrap();
    }
}

pub(crate) async fn of_several_uses_at_once_one_successor_is_stored(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let renewed = join_all((10..18).map(|new| stores.renew([1; 32], [new; 32]))).await;
    let seeds: Vec<_> = renewed.into_iter().map(|renewed| renewed.unwrap().seed).collect();
    assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
    for new in (10..18).filter(|new| [*new; 32] != seeds[0]) {
        assert_eq!(stores.renew([new; 32], [new + 100; 32]).await, None);
    }
    assert!(stores.renew(seeds[0], [99; 32]).await.is_some());
}

pub(crate) async fn a_revoked_session_lets_nobody_in(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let id = stores.open(ada.id, [1; 32]).await;
    assert!(stores.renew([1; 32], [2; 32]).await.is_some());
    let eve = stores.add("eve@example.com").await;
    assert!(!stores.sessions.revoke(eve.id, id, NOW).await.unwrap(), "it is somebody else's");
    assert!(stores.renew([1; 32], [9; 32]).await.is_some());
    for _ in 0..2 {
        assert!(stores.sessions.revoke(ada.id, id, NOW).await.unwrap());
    }
    assert_eq!(stores.renew([1; 32], [3; 32]).await, None, "not even again");
    assert_eq!(stores.renew([2; 32], [3; 32]).await, None);
    assert!(!stores.sessions.revoke(ada.id, SessionId(Uuid::now_v7()), NOW).await.unwrap());
}

pub(crate) async fn an_expired_or_unknown_token_lets_nobody_in(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    assert_eq!(stores.renew_at(NOW + Duration::HOUR, [1; 32], [2; 32]).await, None);
    assert_eq!(stores.renew([7; 32], [8; 32]).await, None);
    assert!(stores.renew([1; 32], [2; 32]).await.is_some(), "being late revoked nothing");
}

pub(crate) async fn a_new_role_counts_from_the_next_token(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    let grant = AuditEntry::new(OperatorAction::Grant, NOW);
    stores.accounts.set_role(&email("ada@example.com"), Role::Operator, &grant).await.unwrap();
    for _ in 0..2 {
        assert_eq!(stores.renew([1; 32], [2; 32]).await.map(|r| r.session.role), Some(Role::Operator));
    }
}

pub(crate) async fn only_an_active_account_with_this_password_begins_a_session(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    let other = PasswordHash::new("another one".to_owned());
    assert!(!stores.sessions.open(&new_session(ada.id, [1; 32], other)).await.unwrap());
    stores.begin_closing(&ada, NOW).await;
    assert!(!stores.sessions.open(&new_session(ada.id, [1; 32], hash())).await.unwrap());
    assert_eq!(stores.renew([1; 32], [2; 32]).await, None);
}

pub(crate) async fn what_ended_is_pruned(stores: Stores) {
    let ada = stores.add("ada@example.com").await;
    stores.open(ada.id, [1; 32]).await;
    stores.renew([1; 32], [2; 32]).await;
    assert_eq!(stores.sessions.prune(NOW, 100).await.unwrap(), 0);
    assert_eq!(stores.sessions.prune(NOW + Duration::HOUR, 1).await.unwrap(), 2, "one token and the session");
    assert_eq!(stores.sessions.prune(NOW + Duration::HOUR, 100).await.unwrap(), 0);
    assert_eq!(stores.renew([2; 32], [3; 32]).await, None);
}

pub(crate) async fn sessions_that_go_on_are_listed_youngest_first(stores: Stores) {
    let (ada, eve) = (stores.add("ada@example.com").await, stores.add("eve@example.com").await);
    let mut ids = Vec::new();
    for token in [1, 2, 3, 4] {
        ids.push(stores.open(ada.id, [token; 32]).await);
    }
    stores.open(eve.id, [9; 32]).await;
    stores.sessions.revoke(ada.id, ids[1], NOW).await.unwrap();
    let later = NOW + Duration::MINUTE;
    stores.renew_at(later, [1; 32], [5; 32]).await;
    let list = async |now, after, limit| {
        let sessions = stores.sessions.list(ada.id, now, after, limit).await.unwrap();
        sessions.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(list(NOW, None, 9).await, [ids[3], ids[2], ids[0]]);
    assert_eq!(list(NOW, None, 2).await, [ids[3], ids[2]]);
    assert_eq!(list(NOW, Some(ids[2]), 2).await, [ids[0]]);
    assert_eq!(list(NOW + Duration::HOUR, None, 9).await, [ids[0]], "the others have ended");
    let used = stores.sessions.list(ada.id, NOW, Some(ids[2]), 1).await.unwrap().remove(0);
    assert_eq!((used.created_at, used.last_used_at, used.expires_at), (NOW, later, later + Duration::HOUR));
}
