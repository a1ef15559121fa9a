//! Routes for the other services and the operators' tool, which authenticate by service credential.

use auth::Caller;
use axum::{Json, extract::State, http::Uri};
use chassis::http::{Id, Params};
use error::{Error, Problem};
use serde_json::{Value, json};

use super::{
    Api,
    schema::{Audit, AuditedOrders, Customers, OpenOrders},
    view,
};
use crate::domain::ids::{OrderId, UserId};

/// The user service.
pub(super) const USER: &str = "user";
/// The operators' tool.
pub(super) const TRIREME: &str = "trireme";

/// Marks an account as closing and cancels its open orders
#[utoipa::path(
    put, path = "/internal/v1/accounts/{user_id}/closing", operation_id = "closeAccount", tag = "internal",
    security(("credential" = [])), params(("user_id" = String, Path, format = "uuid", description = "Whose account.")),
    responses((status = 200, description = "How many are still open.", body = OpenOrders)),
)]
pub(super) async fn close_account(
    caller: Caller,
    State(api): State<Api>,
    id: Id<UserId>,
) -> Result<Json<Value>, Error> {
    only(&caller, USER)?;
    let open = api.app.close_account(id.0).await?;
    Ok(Json(json!({ "open_orders": open })))
}

/// Adds stock and money up
#[utoipa::path(
    get, path = "/internal/v1/audit", operation_id = "audit", tag = "internal", security(("credential" = [])),
    responses((status = 200, description = "The sums.", body = Audit)),
)]
pub(super) async fn audit(caller: Caller, State(api): State<Api>) -> Result<Json<Value>, Error> {
    only(&caller, TRIREME)?;
    Ok(Json(view::audit(&api.app.totals().await?)))
}

/// Lists the orders as they are stored, by ascending id
#[utoipa::path(
    get, path = "/internal/v1/audit/orders", operation_id = "auditOrders", tag = "internal",
    security(("credential" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many; 20 where nothing is said."),
        ("after" = Option<String>, Query, format = "uuid", description = "The last order of the page before."),
    ),
    responses((status = 200, description = "A page; an empty one is the last.", body = AuditedOrders)),
)]
pub(super) async fn audit_orders(caller: Caller, State(api): State<Api>, uri: Uri) -> Result<Json<Value>, Error> {
    only(&caller, TRIREME)?;
    let (limit, after) = page(&uri)?;
    let orders = api.app.audited_orders(after.map(OrderId), limit).await?;
    Ok(Json(json!({ "orders": orders.iter().map(view::audited_order).collect::<Vec<_>>() })))
}

/// Lists what the orders of each user say, by the users' ascending id
#[utoipa::path(
    get, path = "/internal/v1/audit/customers", operation_id = "auditCustomers", tag = "internal",
    security(("credential" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many; 20 where nothing is said."),
        ("after" = Option<String>, Query, format = "uuid", description = "The last user of the page before."),
    ),
    responses((status = 200, description = "A page; an empty one is the last.", body = Customers)),
)]
pub(super) async fn audit_customers(caller: Caller, State(api): State<Api>, uri: Uri) -> Result<Json<Value>, Error> {
    only(&caller, TRIREME)?;
    let (limit, after) = page(&uri)?;
    let customers = api.app.customers(after.map(UserId), limit).await?;
    Ok(Json(json!({ "customers": customers.iter().map(view::customer).collect::<Vec<_>>() })))
}

fn page(uri: &Uri) -> Result<(u32, Option<uuid::Uuid>), Error> {
    let mut params = Params::of(uri);
    let page = params.page_after();
    params.finish()?;
    Ok(page)
}

fn only(caller: &Caller, name: &str) -> Result<(), Error> {
    if caller.name() == name {
        Ok(())
    } else {
        Err(Error::new(Problem::CallerNotAllowed, "this service may not call here"))
    }
}
