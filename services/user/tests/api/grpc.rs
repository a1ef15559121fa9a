//! `user.v1.UserService` over a real port.

use auth::Credential;
use proto::user::v1::{
    AuthenticateRequest, BatchGetUsersRequest, CloseAccountRequest, CreateUserRequest, GetUserRequest, Status,
    UpdateUserRequest, User, user_service_client::UserServiceClient,
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, metadata::AsciiMetadataValue, transport::Channel};

use crate::{
    app::{PASSWORD, Person, SECRET, TestApp},
    operators::switch,
    order_stand_in::OrderStandIn,
};

type Client = UserServiceClient<Channel>;

async fn client(app: &TestApp) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = app.grpc.clone().prepare().into_axum_router();
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await.unwrap() });
    Client::connect(address).await.unwrap()
}

fn by<T>(message: T, person: &Person) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", person.access).parse().unwrap());
    request
}

fn by_service<T>(message: T, name: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = Credential::new(SECRET, name).header_value();
    let value = AsciiMetadataValue::try_from(value.as_bytes()).unwrap();
    request.metadata_mut().insert(auth::CREDENTIAL_HEADER, value);
    request
}

fn get(id: &str) -> GetUserRequest {
    GetUserRequest { id: id.to_owned() }
}

fn create(email: &str, name: &str, password: &str) -> CreateUserRequest {
    CreateUserRequest { email: email.to_owned(), name: name.to_owned(), password: password.to_owned() }
}

fn rename(id: &str, name: &str, version: u64) -> UpdateUserRequest {
    UpdateUserRequest { id: id.to_owned(), name: Some(name.to_owned()), version, ..Default::default() }
}

fn code<T>(result: Result<T, tonic::Status>) -> Code {
    result.map(drop).unwrap_err().code()
}

/// The fields that a refusal names.
fn fields(status: &tonic::Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let faults = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    faults.into_iter().map(|fault| fault.field).collect()
}

#[tokio::test]
async fn an_account_is_opened_read_and_changed() {
    let app = TestApp::start().await;
    let mut client = client(&app).await;
    let created = client.create_user(create("Ada@Example.com", " Ada ", PASSWORD)).await.unwrap().into_inner();
    let ada = created.user.unwrap();
    assert_eq!((ada.email.as_deref(), ada.name.as_deref(), ada.version), (Some("Ada@Example.com"), Some("Ada"), 1));
    assert_eq!((ada.status(), ada.orders_placed), (Status::Active, 0));
    assert!(ada.created_at.ends_with('Z'));
    let taken = client.create_user(create("ada@example.com", "Eve", PASSWORD)).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);

    let authenticate = AuthenticateRequest { email: "ada@example.com".to_owned(), password: PASSWORD.to_owned() };
    let tokens = client.authenticate(authenticate).await.unwrap().into_inner();
    assert_eq!((tokens.expires_in, tokens.refresh_token.len()), (600, 43));
    let person = app.log_in("ada@example.com").await;
    let read = client.get_user(by(get(&ada.id), &person)).await.unwrap().into_inner().user.unwrap();
    assert_eq!(read, ada);
    let renamed = client.update_user(by(rename(&ada.id, "Ada L.", 1), &person)).await.unwrap().into_inner();
    assert_eq!(renamed.user.as_ref().map(|user| user.version), Some(2));
    let stale = client.update_user(by(rename(&ada.id, "Eve", 1), &person)).await.unwrap_err();
    assert_eq!(stale.code(), Code::FailedPrecondition);
    assert_eq!(app.me(&person).await.body["name"], "Ada L.");
}

#[tokio::test]
async fn bad_input_is_refused_by_field() {
    let app = TestApp::start().await;
    let mut client = client(&app).await;
    let ada = app.person("ada@example.com").await;
    let refused = client.create_user(create("ada", " ", "short")).await.unwrap_err();
    assert_eq!(
        (refused.code(), fields(&refused)),
        (Code::InvalidArgument, vec!["email".into(), "name".into(), "password".into()])
    );
    let refused = client.get_user(by(get("1"), &ada)).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["id".to_owned()]));
    let refused = client.update_user(by(rename(&ada.id, "a\nb", 1), &ada)).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["name".to_owned()]));
    let ids = vec![ada.id.clone(), "x".to_owned()];
    let refused = client.batch_get_users(by_service(BatchGetUsersRequest { ids }, "order")).await.unwrap_err();
    assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["ids[1]".to_owned()]));
    let ids = vec![ada.id; 101];
    let refused = client.batch_get_users(by_service(BatchGetUsersRequest { ids }, "order")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for (email, password) in [("ada@example.com", "wrong"), ("eve@example.com", PASSWORD), ("", "")] {
        let request = AuthenticateRequest { email: email.to_owned(), password: password.to_owned() };
        let refused = client.authenticate(request).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unauthenticated, "the e-mail address or the password is wrong")
        );
    }
}

#[tokio::test]
async fn a_disabled_account_only_reads_itself() {
    let app = TestApp::start().await;
    let mut client = client(&app).await;
    let (olga, otto) = (app.operator("olga@example.com").await, app.operator("otto@example.com").await);
    switch(&app, &olga, &otto.id, "disable").await;
    assert!(client.get_user(by(get(&otto.id), &otto)).await.is_ok());
    assert_eq!(code(client.get_user(by(get(&olga.id), &otto)).await), Code::PermissionDenied);
    assert_eq!(code(client.update_user(by(rename(&otto.id, "Eve", 2), &otto)).await), Code::PermissionDenied);
    let close = CloseAccountRequest { id: otto.id.clone(), current_password: Some(PASSWORD.to_owned()) };
    assert_eq!(code(client.close_account(by(close, &otto)).await), Code::PermissionDenied);
    let authenticate = AuthenticateRequest { email: otto.email.clone(), password: PASSWORD.to_owned() };
    assert_eq!(code(client.authenticate(authenticate).await), Code::Unauthenticated);
}

#[tokio::test]
async fn callers_see_what_is_theirs() {
    let app = TestApp::start().await;
    let mut client = client(&app).await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let operator = app.operator("olga@example.com").await;
    let unknown = uuid::Uuid::now_v7().to_string();

    assert_eq!(code(client.get_user(Request::new(get(&ada.id))).await), Code::Unauthenticated);
    let hidden = client.get_user(by(get(&ada.id), &eve)).await.unwrap_err();
    let missing = client.get_user(by(get(&unknown), &eve)).await.unwrap_err();
    assert_eq!((hidden.code(), hidden.message()), (Code::NotFound, missing.message()));
    assert!(client.get_user(by(get(&ada.id), &operator)).await.is_ok());
    assert!(client.get_user(by_service(get(&ada.id), "order")).await.is_ok());
    assert_eq!(code(client.get_user(by_service(get(&unknown), "order")).await), Code::NotFound);
    assert_eq!(code(client.get_user(by_service(get(&ada.id), "payment")).await), Code::PermissionDenied);

    assert_eq!(code(client.update_user(by(rename(&ada.id, "Eve", 1), &eve)).await), Code::NotFound);
    assert_eq!(code(client.update_user(by(rename(&ada.id, "Eve", 1), &operator)).await), Code::PermissionDenied);
    assert!(client.update_user(by_service(rename(&ada.id, "Ada L.", 1), "trireme")).await.is_ok());

    let batch = || BatchGetUsersRequest { ids: vec![ada.id.clone(), unknown.clone(), eve.id.clone()] };
    let refused = client.batch_get_users(by(batch(), &operator)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let users = client.batch_get_users(by_service(batch(), "order")).await.unwrap().into_inner().users;
    let mut found: Vec<String> = users.into_iter().map(|user: User| user.id).collect();
    found.sort_unstable();
    let mut expected = [ada.id.clone(), eve.id.clone()];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn another_address_needs_the_owners_password_and_no_services() {
    let app = TestApp::start().await;
    let mut client = client(&app).await;
    let ada = app.person("ada@example.com").await;
    let request = |email: &str, version, password: Option<&str>| UpdateUserRequest {
        id: ada.id.clone(),
        email: Some(email.to_owned()),
        version,
        current_password: password.map(str::to_owned),
        ..Default::default()
    };
    for password in [None, Some("wrong")] {
        let refused = client.update_user(by(request("a@example.com", 1, password), &ada)).await.unwrap_err();
        assert_eq!((refused.code(), fields(&refused)), (Code::PermissionDenied, vec!["current_password".to_owned()]));
    }
    assert!(client.update_user(by(request("a@example.com", 1, Some(PASSWORD)), &ada)).await.is_ok());
    app.refresh(&ada.refresh).await.expect(http::StatusCode::OK);
    let other = app.log_in("a@example.com").await;
    assert!(client.update_user(by_service(request("b@example.com", 2, None), "trireme")).await.is_ok());
    app.refresh(&other.refresh).await.problem(401);
}

#[tokio::test]
async fn an_account_is_closed() {
    let (_order, url) = OrderStandIn::start(0, 0).await;
    let app = TestApp::with(&[("ORDER__URL", &url)]).await;
    let mut client = client(&app).await;
    let (ada, eve) = (app.person("ada@example.com").await, app.person("eve@example.com").await);
    let close_with = |id: &str, password: &str| CloseAccountRequest {
        id: id.to_owned(),
        current_password: Some(password.to_owned()),
    };
    let close = |id: &str| close_with(id, PASSWORD);
    assert_eq!(client.close_account(by(close(&ada.id), &eve)).await.unwrap_err().code(), Code::NotFound);
    for without in [CloseAccountRequest { id: ada.id.clone(), current_password: None }, close_with(&ada.id, "wrong")] {
        let refused = client.close_account(by(without, &ada)).await.unwrap_err();
        assert_eq!((refused.code(), fields(&refused)), (Code::PermissionDenied, vec!["current_password".to_owned()]));
    }
    let closing = client.close_account(by(close(&ada.id), &ada)).await.unwrap().into_inner().user.unwrap();
    assert_eq!(closing.status(), Status::Closing);
    testkit::eventually!(app.me(&ada).await.body["status"] == "closed");
    let closed = client.close_account(by(close(&ada.id), &ada)).await.unwrap().into_inner().user.unwrap();
    assert_eq!((closed.status(), closed.email, closed.name), (Status::Closed, None, None));
    let refused = client.update_user(by(rename(&ada.id, "Ada", 3), &ada)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
