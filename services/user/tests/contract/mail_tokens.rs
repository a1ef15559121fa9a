//! What a store of tokens that are sent by mail promises.

use time::Duration;
use user::{
    app::ports::{NewMailToken, PasswordChange, Surviving, TokenHash},
    domain::{Account, Change, DomainEvent, MailPurpose, PasswordHash, UserId},
};

use crate::fixture::{NOW, Stores, effects, email, hash, stored};

use MailPurpose::{ResetPassword, VerifyEmail};

fn token(user: UserId, purpose: MailPurpose, hash: TokenHash) -> NewMailToken {
    NewMailToken { user, email: email("ada@example.com"), purpose, hash, expires_at: NOW + purpose.lifetime() }
}

/// Stores a token of each purpose.
async fn with_tokens(stores: &Stores) -> Account {
    let ada = stores.add("ada@example.com").await;
    for (purpose, hash) in [(VerifyEmail, [1; 32]), (ResetPassword, [2; 32])] {
        assert!(stores.mail_tokens.put(&token(ada.id, purpose, hash)).await.unwrap());
    }
    ada
}

async fn is_valid(stores: &Stores, hash: TokenHash, purpose: MailPurpose) -> bool {
    stores.mail_tokens.is_valid(&hash, purpose, NOW).await.unwrap()
}

pub(crate) async fn a_mail_token_is_good_once_and_for_its_purpose(stores: Stores) {
    let ada = with_tokens(&stores).await;
    assert_eq!(stores.mail_tokens.verified_at(ada.id).await.unwrap(), None);
    assert!(!stores.mail_tokens.verify_email(&[2; 32], NOW).await.unwrap());
    assert!(!stores.mail_tokens.reset_password(&[1; 32], &hash(), NOW).await.unwrap());
    assert!(stores.mail_tokens.verify_email(&[1; 32], NOW).await.unwrap());
    assert!(!stores.mail_tokens.verify_email(&[1; 32], NOW).await.unwrap());
    assert_eq!(stores.mail_tokens.verified_at(ada.id).await.unwrap(), Some(NOW));
    assert_eq!(stores.accounts.get(ada.id).await.unwrap().unwrap().version, 1);
    assert!(is_valid(&stores, [2; 32], ResetPassword).await, "the other one is still good");
}

pub(crate) async fn a_reset_replaces_the_password_and_ends_everything(stores: Stores) {
    let ada = with_tokens(&stores).await;
    stores.open(ada.id, [9; 32]).await;
    let new = PasswordHash::new("new".to_owned());
    assert!(stores.mail_tokens.reset_password(&[2; 32], &new, NOW).await.unwrap());
    assert_eq!(stores.accounts.login(&email("ada@example.com")).await.unwrap().unwrap().hash, new);
    assert_eq!(stores.renew([9; 32], [8; 32]).await, None);
    assert_eq!(stores.mail_tokens.verified_at(ada.id).await.unwrap(), Some(NOW));
    assert!(!is_valid(&stores, [1; 32], VerifyEmail).await && !is_valid(&stores, [2; 32], ResetPassword).await);
}

pub(crate) async fn of_several_resets_at_once_one_wins(stores: Stores) {
    with_tokens(&stores).await;
    let resets = ["a", "b", "c", "d"].map(|hash| {
        let stores = &stores;
        async move {
            let new = PasswordHash::new(hash.to_owned());
            stores.mail_tokens.reset_password(&[2; 32], &new, NOW).await.unwrap().then_some(new)
        }
    });
    let won: Vec<_> = futures::future::join_all(resets).await.into_iter().flatten().collect();
    let login = stores.accounts.login(&email("ada@example.com")).await.unwrap().unwrap();
    assert_eq!(won, [login.hash]);
}

pub(crate) async fn a_mail_token_replaces_the_one_before(stores: Stores) {
    let ada = with_tokens(&stores).await;
    assert!(stores.mail_tokens.put(&token(ada.id, VerifyEmail, [3; 32])).await.unwrap());
    assert!(!is_valid(&stores, [1; 32], VerifyEmail).await && is_valid(&stores, [3; 32], VerifyEmail).await);
    let elsewhere = NewMailToken { email: email("eve@example.com"), ..token(ada.id, VerifyEmail, [4; 32]) };
    assert!(!stores.mail_tokens.put(&elsewhere).await.unwrap(), "that is not its address");
    stores.begin_closing(&ada, NOW).await;
    assert!(!stores.mail_tokens.put(&token(ada.id, VerifyEmail, [4; 32])).await.unwrap());
    assert!(!is_valid(&stores, [3; 32], VerifyEmail).await, "nothing of a closing account is");
}

pub(crate) async fn a_mail_token_ends_with_its_time(stores: Stores) {
    with_tokens(&stores).await;
    let valid_at = async |now| stores.mail_tokens.is_valid(&[2; 32], ResetPassword, now).await.unwrap();
    let end = NOW + ResetPassword.lifetime();
    assert!(valid_at(end - Duration::MICROSECOND).await && !valid_at(end).await);
    assert!(valid_at(NOW - Duration::MINUTE).await, "the clocks of two processes differ");
    assert!(!valid_at(NOW - clock::SKEW - Duration::MICROSECOND).await, "it was made under a clock that was wrong");
    assert!(!stores.mail_tokens.reset_password(&[2; 32], &hash(), end).await.unwrap());
    assert_eq!(stores.mail_tokens.prune(end, 9).await.unwrap(), 1);
    assert_eq!(stores.mail_tokens.prune(NOW + VerifyEmail.lifetime(), 9).await.unwrap(), 1);
}

pub(crate) async fn another_address_or_password_ends_what_was_sent(stores: Stores) {
    let ada = with_tokens(&stores).await;
    assert!(stores.mail_tokens.verify_email(&[1; 32], NOW).await.unwrap());
    let change = PasswordChange { user: ada.id, old: hash(), new: hash(), surviving: Surviving::None, now: NOW };
    assert!(stores.accounts.set_password(&change).await.unwrap());
    assert!(!is_valid(&stores, [2; 32], ResetPassword).await);
    assert!(stores.mail_tokens.put(&token(ada.id, ResetPassword, [3; 32])).await.unwrap());
    let mut moved = ada;
    let address = Change { name: None, email: Some(email("lovelace@example.com")) };
    assert!(moved.change(address, NOW).unwrap());
    let updated = effects(DomainEvent::Updated, moved.id);
    let moved = stored(stores.accounts.save(&moved, Surviving::None, &updated).await.unwrap());
    assert!(!is_valid(&stores, [3; 32], ResetPassword).await);
    assert_eq!(stores.mail_tokens.verified_at(moved.id).await.unwrap(), None);
}

pub(crate) async fn those_who_prune_at_once_do_not_wait_for_each_other(stores: Stores) {
    for n in 0..20 {
        let somebody = stores.add(&format!("somebody{n}@example.com")).await;
        let email = email(&format!("somebody{n}@example.com"));
        let token = NewMailToken { email, ..token(somebody.id, VerifyEmail, [n; 32]) };
        assert!(stores.mail_tokens.put(&token).await.unwrap());
    }
    let later = NOW + VerifyEmail.lifetime();
    let pruned = futures::future::join_all((0..4).map(|_| stores.mail_tokens.prune(later, 5))).await;
    let pruned: Vec<_> = pruned.into_iter().map(Result::unwrap).collect();
    assert_eq!(pruned, [5; 4], "each its own");
}
