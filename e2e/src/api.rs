//! The public interface as a client uses it.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use trireme::http::{Answer, Http};
use uuid::Uuid;

use crate::Cluster;

/// A signed-up, logged-in person.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's id.
    pub id: String,
    /// The address that was signed up.
    pub email: String,
    /// Access token.
    pub token: String,
}

/// A client of the three services.
#[derive(Clone, Debug)]
pub struct Api {
    http: Http,
    user: String,
    order: String,
}

impl Api {
    /// A client with its own connections.
    pub fn new(cluster: &Cluster) -> Result<Self> {
        Ok(Self { http: Http::new(), user: cluster.process("user")?.http, order: cluster.process("order")?.http })
    }

    /// Sends one request. `target` starts with `user:` or `order:` and goes on with the path, or is a whole URL.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer> {
        let url = match target.split_once(':') {
            Some(("user", path)) => format!("{}{path}", self.user),
            Some(("order", path)) => format!("{}{path}", self.order),
            _ => target.to_owned(),
        };
        self.http.send(method, &url, headers, body).await
    }

    /// GET as somebody.
    pub async fn get(&self, target: &str, account: &Account) -> Result<Answer> {
        self.send(Method::GET, target, &[("authorization", &account.bearer())], None).await
    }

    /// POST as somebody, with an idempotency key where one is given.
    pub async fn post(
        &self,
        target: &str,
        account: &Account,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let bearer = account.bearer();
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.send(Method::POST, target, &headers, body).await
    }

    /// Signs up a new person and logs them in.
    pub async fn sign_up(&self) -> Result<Account> {
        let email = format!("{}@example.org", Uuid::new_v4().simple());
        let person = json!({"email": email, "name": "Ada", "password": "correct horse battery"});
        let answer = self.send(Method::POST, "user:/v1/users", &[], Some(&person)).await?;
        ensure!(answer.status == StatusCode::CREATED, "sign-up: {answer:?}");
        self.log_in(answer.text("id"), &email).await
    }

    /// Logs in a person that [`Api::sign_up`] made.
    pub async fn log_in(&self, id: &str, email: &str) -> Result<Account> {
        let answer = self.session(email).await?;
        ensure!(answer.status == StatusCode::OK, "log-in: {}", answer.status);
        Ok(Account { id: id.to_owned(), email: email.to_owned(), token: answer.text("access_token").to_owned() })
    }

    /// Asks for a session of a person that [`Api::sign_up`] made.
    pub async fn session(&self, email: &str) -> Result<Answer> {
        let login = json!({"email": email, "password": "correct horse battery"});
        self.send(Method::POST, "user:/v1/sessions", &[], Some(&login)).await
    }

    /// Signs up an operator: `trireme grant` gives the role, a new log-in brings it into the token.
    pub async fn operator(&self, cluster: &Cluster) -> Result<Account> {
        let account = self.sign_up().await?;
        cluster.tool(&["grant", &account.email, "operator"])?;
        self.log_in(&account.id, &account.email).await
    }
}

impl Account {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}
