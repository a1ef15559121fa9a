//! A fake user service, as far as accounts are read.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use proto::user::v1::{
    self as wire,
    user_service_server::{UserService, UserServiceServer},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

type Answer<T> = Result<Response<T>, Status>;

/// The fake; clones share their state. Every account exists.
#[derive(Clone, Default)]
pub struct FakeCustomers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The ids of each call.
    calls: Vec<Vec<String>>,
    down: bool,
    /// Accounts with a status that order does not know.
    newer: Vec<String>,
}

impl FakeCustomers {
    /// Serves on a free port.
    pub async fn serve(&self, tracker: &tokio_util::task::TaskTracker) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(UserServiceServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tracker.spawn(server);
        address
    }

    /// Has every call fail from now on.
    pub fn go_down(&self) {
        self.0.lock().unwrap().down = true;
    }

    /// Has an account be as a newer version of user writes it.
    pub fn write_anew(&self, id: uuid::Uuid) {
        self.0.lock().unwrap().newer.push(id.to_string());
    }

    /// The ids of each call so far, which are forgotten.
    pub fn take_calls(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }
}

fn account(id: String) -> wire::User {
    wire::User {
        email: Some(format!("{id}@example.com")),
        name: Some(format!("Customer {id}")),
        id,
        status: wire::Status::Active.into(),
        orders_placed: 3,
        version: 1,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        updated_at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

#[tonic::async_trait]
impl UserService for FakeCustomers {
    async fn batch_get_users(
        &self,
        request: Request<wire::BatchGetUsersRequest>,
    ) -> Answer<wire::BatchGetUsersResponse> {
        if !request.metadata().contains_key(auth::CREDENTIAL_HEADER) {
            return Err(Status::unauthenticated("no credential"));
        }
        let ids = request.into_inner().ids;
        let mut state = self.0.lock().unwrap();
        state.calls.push(ids.clone());
        if state.down {
            return Err(Status::unavailable("not now"));
        }
        let mut users: Vec<wire::User> = ids.into_iter().map(account).collect();
        for user in users.iter_mut().filter(|user| state.newer.contains(&user.id)) {
            user.status = 99;
        }
        Ok(Response::new(wire::BatchGetUsersResponse { users }))
    }

    async fn create_user(&self, _: Request<wire::CreateUserRequest>) -> Answer<wire::CreateUserResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_user(&self, _: Request<wire::GetUserRequest>) -> Answer<wire::GetUserResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn update_user(&self, _: Request<wire::UpdateUserRequest>) -> Answer<wire::UpdateUserResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn close_account(&self, _: Request<wire::CloseAccountRequest>) -> Answer<wire::CloseAccountResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn authenticate(&self, _: Request<wire::AuthenticateRequest>) -> Answer<wire::AuthenticateResponse> {
        Err(Status::unimplemented("not here"))
    }
}
