//! The user service over gRPC.

use async_trait::async_trait;
use client::{Grpc, GrpcChannel};
use proto::user::v1::{self as wire, user_service_client::UserServiceClient};
use uuid::Uuid;

use crate::{
    app::ports::{AccountStatus, Customer, Customers, CustomersError},
    domain::ids::UserId,
};

/// The user service.
#[derive(Debug, Clone)]
pub struct UserClient(Grpc);

impl UserClient {
    /// Calls through this client.
    pub fn new(grpc: Grpc) -> Self {
        Self(grpc)
    }
}

#[async_trait]
impl Customers for UserClient {
    async fn get_many(&self, ids: &[UserId]) -> Result<Vec<Customer>, CustomersError> {
        let request = wire::BatchGetUsersRequest { ids: ids.iter().map(ToString::to_string).collect() };
        let call = |channel: GrpcChannel| {
            let request = request.clone();
            async move { UserServiceClient::new(channel).batch_get_users(request).await }
        };
        let answer = self.0.call(true, call).await.map_err(unanswered)?;
        // Of one that a newer version has written in its own way the others are not left without.
        let known = |user: wire::User| {
            let (id, read) = (user.id.clone(), customer(user));
            read.inspect_err(|error| tracing::warn!(user.id = %id, %error, "a customer cannot be read")).ok()
        };
        Ok(answer.users.into_iter().filter_map(known).collect())
    }
}

/// An answer that is not in the contract.
#[derive(Debug, thiserror::Error)]
#[error("user answered {0}")]
struct Unexpected(&'static str);

fn customer(user: wire::User) -> Result<Customer, Unexpected> {
    let status = match user.status() {
        wire::Status::Active => AccountStatus::Active,
        wire::Status::Closing => AccountStatus::Closing,
        wire::Status::Closed => AccountStatus::Closed,
        wire::Status::Unspecified => return Err(Unexpected("an account without a status")),
    };
    let id = Uuid::try_parse(&user.id).map_err(|_| Unexpected("an account whose id is no uuid"))?;
    let wire::User { email, name, orders_placed, .. } = user;
    Ok(Customer { id: UserId(id), email, name, status, orders_placed })
}

fn unanswered(error: client::Error) -> CustomersError {
    match error {
        client::Error::Status { .. } => CustomersError::Failed(error.into()),
        client::Error::BreakerOpen { .. } | client::Error::Timeout(_) | client::Error::Unavailable { .. } => {
            CustomersError::Down(error.into())
        }
    }
}
