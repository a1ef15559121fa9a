//! The outboxes of the services, by their admin ports: what the bus refused for good, or the service cannot read.

use std::path::Path;

use anyhow::{Context as _, Result};
use auth::{CREDENTIAL_HEADER, Credential};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{commands, data::Data, http::Http, output::Output};

/// What a dead row of an outbox has instead of a consumer group.
pub(super) const GROUP: &str = "outbox";

/// The services whose outboxes are looked at.
#[derive(Default)]
pub(super) struct Outboxes {
    http: Http,
    credential: Option<Credential>,
    /// The admin ports.
    admins: Vec<String>,
}

/// A dead row, and the admin port of its service.
pub(super) struct Row {
    pub(super) admin: String,
    pub(super) fields: Value,
}

impl Row {
    pub(super) fn is_of(&self, id: Uuid) -> bool {
        self.fields["id"] == id.to_string()
    }
}

impl Outboxes {
    /// Those of services with these admin ports.
    pub(super) fn at(admins: Vec<String>, credential_file: &Path) -> Result<Self> {
        let credential = commands::credential_of(credential_file)?;
        Ok(Self { credential: Some(credential), admins, ..Self::default() })
    }

    /// Those of the services that run on a data directory; none where nothing runs.
    pub(super) fn of(data: &Data) -> Result<Self> {
        let Ok(state) = commands::running(data) else { return Ok(Self::default()) };
        let admins = state.services.into_iter().map(|service| service.addresses.admin).collect();
        Ok(Self { credential: Some(commands::credential(data)?), admins, ..Self::default() })
    }

    /// The dead rows of all of them. What a service that does not answer has is not among them, which is said.
    pub(super) async fn rows(&self, output: &Output) -> Vec<Row> {
        let mut rows = Vec::new();
        for admin in &self.admins {
            match self.of_service(admin).await {
                Ok(found) => rows.extend(found.into_iter().map(|fields| Row { admin: admin.clone(), fields })),
                Err(error) => output.notice(&format!("the outbox of the service at {admin} is left out: {error:#}")),
            }
        }
        rows
    }

    async fn of_service(&self, admin: &str) -> Result<Vec<Value>> {
        let version = self.http.get(&format!("{}/version", admin.trim_end_matches('/'))).await?;
        let service = version.expect(&[200], "it does not say who it is")?.text("service").to_owned();
        let mut answer = self.ask(Method::GET, admin, None).await?;
        let Value::Array(mut rows) = answer["rows"].take() else { return Ok(Vec::new()) };
        for row in &mut rows {
            row["group"] = json!(GROUP);
            row["service"] = json!(service);
        }
        Ok(rows)
    }

    /// Has one dead row, or all of a service, tried again; says how many there were.
    pub(super) async fn revive(&self, admin: &str, id: Option<Uuid>) -> Result<u64> {
        let body = id.map_or_else(|| json!({}), |id| json!({ "id": id }));
        Ok(self.ask(Method::POST, admin, Some(&body)).await?["revived"].as_u64().unwrap_or_default())
    }

    async fn ask(&self, method: Method, admin: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("{}/outbox/dead", admin.trim_end_matches('/'));
        let value = self.credential.as_ref().context("no credential")?.header_value();
        let answer = self.http.send(method, &url, &[(CREDENTIAL_HEADER, value.to_str()?)], body).await?;
        Ok(answer.expect(&[200], "the service refused")?.body)
    }
}
