//! What is done with accounts, sessions, passwords and mail.

use anyhow::{Result, ensure};
use e2e::{Account, Api};
use http::Method;
use serde_json::json;

const PASSWORD: &str = "correct horse battery";

/// From a wrong password to the end of the account.
pub(super) async fn all(api: &Api, operator: &Account, mut account: Account) -> Result<()> {
    for target in ["user:/v1/users/me", "user:/v1/users/me/sessions"] {
        api.get(target, &account).await?;
    }
    sessions(api, &mut account).await?;
    mail(api, &account).await?;
    let reason = json!({"reason": "because"});
    for verb in ["disable", "enable"] {
        let target = format!("user:/v1/users/{}/{verb}", account.id);
        let set = api.post(&target, operator, None, Some(&reason)).await?;
        ensure!(set.status.is_success(), "{set:?}");
    }
    let account = api.log_in(&account.id, &account.email).await?;
    let bearer = format!("Bearer {}", account.token);
    let headers = [("authorization", bearer.as_str()), ("if-match", "*")];
    let password = json!({"current_password": PASSWORD, "new_password": "another horse battery"});
    let (name, end) = (json!({"name": "Grace"}), json!({"current_password": "another horse battery"}));
    for (method, target, body) in [
        (Method::PATCH, "user:/v1/users/me", name),
        (Method::POST, "user:/v1/users/me/password", password),
        (Method::DELETE, "user:/v1/users/me", end),
    ] {
        let done = api.send(method, target, &headers, Some(&body)).await?;
        ensure!(done.status.is_success(), "{done:?}");
    }
    let nobody = Account { token: "no.token".to_owned(), ..account };
    api.get("order:/v1/orders", &nobody).await?;
    Ok(())
}

/// A session that goes on and ends, one that another ends, and one that does not begin.
async fn sessions(api: &Api, account: &mut Account) -> Result<()> {
    let log_in = async |password: &str| {
        let body = json!({"email": account.email, "password": password});
        api.send(Method::POST, "user:/v1/sessions", &[], Some(&body)).await
    };
    log_in("wrong horse battery").await?;
    let refresh = json!({"refresh_token": log_in(PASSWORD).await?.text("refresh_token")});
    let refreshed = api.send(Method::POST, "user:/v1/sessions/refresh", &[], Some(&refresh)).await?;
    let last = Account { token: refreshed.text("access_token").to_owned(), ..account.clone() };
    let listed = api.get("user:/v1/users/me/sessions", &last).await?;
    let first = listed.body["items"].as_array().and_then(|all| all.iter().find(|one| one["current"] != true));
    let id = first.and_then(|first| first["id"].as_str()).unwrap_or_default();
    let bearer = format!("Bearer {}", last.token);
    for target in [format!("user:/v1/users/me/sessions/{id}"), "user:/v1/sessions/current".to_owned()] {
        let ended = api.send(Method::DELETE, &target, &[("authorization", &bearer)], None).await?;
        ensure!(ended.status.is_success(), "{target}: {ended:?} of {listed:?}");
    }
    *account = api.log_in(&account.id, &account.email).await?;
    Ok(())
}

/// What mail is for. Its tokens are in mail alone, so these are refused.
async fn mail(api: &Api, account: &Account) -> Result<()> {
    api.post("user:/v1/users/me/email-verification", account, None, None).await?;
    let token = "A".repeat(43);
    for (target, body) in [
        ("user:/v1/email-verifications", json!({"token": token})),
        ("user:/v1/password-resets", json!({"email": account.email})),
        ("user:/v1/password-resets/complete", json!({"token": token, "new_password": "another horse battery"})),
    ] {
        api.send(Method::POST, target, &[], Some(&body)).await?;
    }
    Ok(())
}
