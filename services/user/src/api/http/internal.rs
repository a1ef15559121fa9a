//! `/internal/v1`: for the other services and the tool, by their credential.

use auth::Caller;
use axum::{Json, extract::State, http::Uri};
use chassis::http::Params;
use error::{Error, Problem};
use serde::Serialize;

use super::schema;
use crate::{api::Api, app::ports::AuditedAccount, domain::UserId};

/// The service that may ask for the audit.
const AUDITOR: &str = "trireme";

#[derive(Serialize)]
pub(super) struct View {
    users: u64,
    closing: u64,
    outbox: u64,
    orders_placed: u64,
}

/// Adds accounts and orders up
#[utoipa::path(
    get, path = "/internal/v1/audit", operation_id = "audit", tag = "internal", security(("credential" = [])),
    responses((status = 200, description = "The sums.", body = schema::Audit)),
)]
pub(super) async fn audit(State(api): State<Api>, caller: Caller) -> Result<Json<View>, Error> {
    only_auditor(&caller)?;
    let audit = api.app.audit().await?;
    Ok(Json(View {
        users: audit.totals.users,
        closing: audit.totals.closing,
        outbox: audit.outbox,
        orders_placed: audit.totals.orders_placed,
    }))
}

#[derive(Serialize)]
pub(super) struct AccountsView {
    accounts: Vec<AccountView>,
}

#[derive(Serialize)]
struct AccountView {
    id: String,
    status: String,
    orders_placed: i64,
}

impl From<AuditedAccount> for AccountView {
    fn from(account: AuditedAccount) -> Self {
        Self { id: account.id.0.to_string(), status: account.status, orders_placed: account.orders_placed }
    }
}

/// Lists accounts as they are stored, by ascending id
#[utoipa::path(
    get, path = "/internal/v1/audit/accounts", operation_id = "auditAccounts", tag = "internal",
    security(("credential" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many; 20 where nothing is said."),
        ("after" = Option<String>, Query, format = "uuid", description = "The last account of the page before."),
    ),
    responses((status = 200, description = "A page; an empty one is the last.", body = schema::AuditedAccounts)),
)]
pub(super) async fn audit_accounts(
    State(api): State<Api>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<AccountsView>, Error> {
    only_auditor(&caller)?;
    let mut params = Params::of(&uri);
    let (limit, after) = params.page_after();
    params.finish()?;
    let accounts = api.app.audited_accounts(after.map(UserId), limit).await?;
    Ok(Json(AccountsView { accounts: accounts.into_iter().map(AccountView::from).collect() }))
}

fn only_auditor(caller: &Caller) -> Result<(), Error> {
    if caller.name() == AUDITOR {
        Ok(())
    } else {
        Err(Error::new(Problem::CallerNotAllowed, "this service may not call here"))
    }
}
