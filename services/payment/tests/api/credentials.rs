//! Nobody without a credential, and only order gives commands.

use auth::Credential;
use proto::payment::v1 as pb;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::app::{Client, SECRET, TestApp, authorize_request};

async fn codes(mut client: Client, order: Uuid) -> (Vec<Code>, Vec<Code>) {
    let id = order.to_string();
    let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
    let order_id = id.clone();
    let commands = vec![
        code(client.check_token(pb::CheckTokenRequest { payment_token: "tok_ok".into() }).await.err()),
        code(client.authorize(authorize_request(order, "tok_ok")).await.err()),
        code(client.capture(pb::CaptureRequest { order_id: id.clone() }).await.err()),
        code(client.refund(pb::RefundRequest { order_id: id.clone() }).await.err()),
        code(client.void(pb::VoidRequest { order_id: id.clone() }).await.err()),
    ];
    let questions = vec![
        code(client.get_payment(pb::GetPaymentRequest { id }).await.err()),
        code(client.list_payments_by_order(pb::ListPaymentsByOrderRequest { order_id }).await.err()),
        code(client.audit(pb::AuditRequest {}).await.err()),
    ];
    (commands, questions)
}

#[tokio::test]
async fn without_a_good_credential_everything_is_refused() {
    let app = TestApp::start().await;
    for credential in [None, Some(Credential::new("a guess", "order"))] {
        let (commands, questions) = codes(app.client(credential), Uuid::now_v7()).await;
        assert_eq!(commands, [Code::Unauthenticated; 5]);
        assert_eq!(questions, [Code::Unauthenticated; 3]);
    }
    let foreign = Some(Credential::new(SECRET, "user"));
    let (commands, questions) = codes(app.client(foreign), Uuid::now_v7()).await;
    assert_eq!(commands, [Code::PermissionDenied; 5]);
    assert_eq!(questions, [Code::PermissionDenied; 3]);
    assert_eq!(app.audit().await.payments, 0);
}

#[tokio::test]
async fn the_tool_only_reads() {
    let app = TestApp::start().await;
    let (commands, questions) = codes(app.client_of("trireme"), Uuid::now_v7()).await;
    assert_eq!(commands, [Code::PermissionDenied; 5]);
    assert_eq!(questions, [Code::NotFound, Code::Ok, Code::Ok]);
}

#[tokio::test]
async fn order_does_everything() {
    let app = TestApp::start().await;
    let (commands, questions) = codes(app.order(), Uuid::now_v7()).await;
    assert_eq!(commands, [Code::Ok, Code::Ok, Code::Ok, Code::Ok, Code::FailedPrecondition]);
    assert_eq!(questions, [Code::NotFound, Code::Ok, Code::Ok]);
}
