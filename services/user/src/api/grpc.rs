//! The gRPC service `user.v1.UserService`.

use std::net::IpAddr;

use auth::{CREDENTIAL_HEADER, Identity, bearer};
use chassis::http::ClientAddress;
use error::{Error, Problem, Violation};
use proto::user::v1::{
    self as messages, AuthenticateRequest, AuthenticateResponse, BatchGetUsersRequest, BatchGetUsersResponse,
    CloseAccountRequest, CloseAccountResponse, CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse,
    UpdateUserRequest, UpdateUserResponse, user_service_server::UserService,
};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use uuid::Uuid;

use super::Api;
use crate::{
    app::{self, Expected, Reauthentication, Requester},
    domain::{Account, Change, Email, Invalid, Name, Password, SessionId, Status as AccountStatus, UserId},
};

/// Most ids in one batch.
const MAX_BATCH: usize = 100;

/// Who calls.
enum Principal {
    Person(Identity),
    Service,
}

impl Principal {
    /// Whether the account may be used as its owner uses it.
    fn acts_for(&self, id: UserId) -> bool {
        matches!(self, Self::Service) || matches!(self, Self::Person(person) if person.user_id == id.0)
    }

    fn may_read(&self, id: UserId) -> Result<(), Error> {
        let operator = matches!(self, Self::Person(person) if person.is_operator());
        if operator || self.acts_for(id) { Ok(()) } else { Err(not_found()) }
    }

    /// An operator, who may read every account, learns why; to others it is as if the account did not exist.
    fn may_write(&self, id: UserId) -> Result<(), Error> {
        match self {
            principal if principal.acts_for(id) => Ok(()),
            Self::Person(person) if person.is_operator() => {
                Err(Error::new(Problem::OwnerRequired, "only the owner may change an account"))
            }
            _ => Err(not_found()),
        }
    }

    /// What a person shows in addition to the access token; a service needs nothing more.
    fn requester(&self, client: Option<IpAddr>, password: Option<&str>) -> Requester {
        let Self::Person(person) = self else { return Requester::Service };
        let password = password.map(Password::attempt);
        Requester::Owner(Reauthentication { session: SessionId(person.session), client, password })
    }
}

/// The service.
pub struct Users {
    api: Api,
}

impl Users {
    /// Answers with `api`.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// A service shows its credential; without one the caller is a person with an access token.
    async fn principal(&self, metadata: &MetadataMap) -> Result<Principal, Error> {
        if metadata.contains_key(CREDENTIAL_HEADER) {
            self.api.callers.check(metadata.as_ref())?;
            return Ok(Principal::Service);
        }
        let token = bearer(metadata.as_ref());
        let token = token.ok_or_else(|| Error::new(Problem::TokenMissing, "a bearer token is needed"))?;
        Ok(Principal::Person(self.api.verifier.verify(token).await?))
    }

    async fn create(&self, request: Request<CreateUserRequest>) -> Result<Account, Error> {
        let client = client(&request);
        let request = request.into_inner();
        let mut faults = Vec::new();
        let email = field(&mut faults, "/email", Email::parse(&request.email));
        let name = field(&mut faults, "/name", Name::parse(&request.name));
        let password = field(&mut faults, "/password", Password::parse(&request.password));
        let (Some(email), Some(name), Some(password)) = (email, name, password) else {
            return Err(Error::invalid(faults));
        };
        Ok(self.api.app.register(email, name, password, client).await?)
    }

    async fn get(&self, request: Request<GetUserRequest>) -> Result<Account, Error> {
        let principal = self.principal(request.metadata()).await?;
        let id = user_id("/id", &request.get_ref().id)?;
        principal.may_read(id)?;
        if let Principal::Person(person) = principal
            && person.user_id != id.0
        {
            self.api.app.may_change(UserId(person.user_id)).await?;
        }
        Ok(self.api.app.get_user(id).await?)
    }

    async fn batch_get(&self, request: Request<BatchGetUsersRequest>) -> Result<Vec<Account>, Error> {
        let Principal::Service = self.principal(request.metadata()).await? else {
            return Err(Error::new(Problem::CallerNotAllowed, "only a service may do this"));
        };
        let ids = &request.get_ref().ids;
        if ids.len() > MAX_BATCH {
            return Err(Error::invalid_field("/ids", "must have at most 100 items"));
        }
        let ids: Result<Vec<_>, _> = ids.iter().enumerate().map(|(i, id)| user_id(&format!("/ids/{i}"), id)).collect();
        Ok(self.api.app.get_users(&ids?).await?)
    }

    async fn update(&self, request: Request<UpdateUserRequest>) -> Result<Account, Error> {
        let (principal, client) = (self.principal(request.metadata()).await?, client(&request));
        let request = request.into_inner();
        let id = user_id("/id", &request.id)?;
        principal.may_write(id)?;
        let requester = principal.requester(client, request.current_password.as_deref());
        let mut faults = Vec::new();
        let name = request.name.and_then(|name| field(&mut faults, "/name", Name::parse(&name)));
        let email = request.email.and_then(|email| field(&mut faults, "/email", Email::parse(&email)));
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let expected = Expected::version(request.version);
        Ok(self.api.app.update_user(id, Change { name, email }, expected, requester).await?)
    }

    async fn close(&self, request: Request<CloseAccountRequest>) -> Result<Account, Error> {
        let principal = self.principal(request.metadata()).await?;
        let client = client(&request);
        let request = request.into_inner();
        let id = user_id("/id", &request.id)?;
        principal.may_write(id)?;
        let requester = principal.requester(client, request.current_password.as_deref());
        Ok(self.api.app.close_account(id, Expected::any(), requester).await?)
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> {
        let account = self.create(request).await?;
        Ok(Response::new(CreateUserResponse { user: Some(user_message(&account)) }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let account = self.get(request).await?;
        Ok(Response::new(GetUserResponse { user: Some(user_message(&account)) }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let accounts = self.batch_get(request).await?;
        Ok(Response::new(BatchGetUsersResponse { users: accounts.iter().map(user_message).collect() }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<UpdateUserResponse>, Status> {
        let account = self.update(request).await?;
        Ok(Response::new(UpdateUserResponse { user: Some(user_message(&account)) }))
    }

    async fn close_account(
        &self,
        request: Request<CloseAccountRequest>,
    ) -> Result<Response<CloseAccountResponse>, Status> {
        let account = self.close(request).await?;
        Ok(Response::new(CloseAccountResponse { user: Some(user_message(&account)) }))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let client = client(&request);
        let request = request.into_inner();
        let (email, password) = (Email::parse(&request.email).ok(), Password::attempt(&request.password));
        let tokens = self.api.app.log_in(email, password, client).await.map_err(Error::from)?;
        Ok(Response::new(AuthenticateResponse {
            access_token: tokens.access_token,
            expires_in: u32::try_from(tokens.expires_in.as_secs()).unwrap_or(u32::MAX),
            refresh_token: tokens.refresh_token,
        }))
    }
}

/// The address that a request came from.
fn client<T>(request: &Request<T>) -> Option<IpAddr> {
    request.extensions().get().copied().map(ClientAddress::ip)
}

fn field<T>(faults: &mut Vec<Violation>, pointer: &str, parsed: Result<T, Invalid>) -> Option<T> {
    parsed.map_err(|fault| faults.push(Violation::field(pointer, fault.0))).ok()
}

fn user_id(pointer: &str, text: &str) -> Result<UserId, Error> {
    let id = Uuid::try_parse(text).ok().filter(|id| id.hyphenated().to_string() == text.to_ascii_lowercase());
    id.map(UserId).ok_or_else(|| Error::invalid_field(pointer, "must be a UUID"))
}

fn not_found() -> Error {
    app::Error::NotFound.into()
}

fn user_message(account: &Account) -> messages::User {
    let status = match account.status {
        AccountStatus::Active => messages::Status::Active,
        AccountStatus::Closing => messages::Status::Closing,
        AccountStatus::Closed => messages::Status::Closed,
    };
    messages::User {
        id: account.id.to_string(),
        email: account.email.as_ref().map(|email| email.as_str().to_owned()),
        name: account.name.as_ref().map(|name| name.as_str().to_owned()),
        status: status.into(),
        orders_placed: account.orders_placed,
        version: account.version,
        created_at: clock::rfc3339(account.created_at),
        updated_at: clock::rfc3339(account.updated_at),
    }
}
