//! A stand-in for the payment service: it keeps the contract, and answers as the test says.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use proto::payment::v1::{
    self as wire,
    payment_service_server::{PaymentService, PaymentServiceServer},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::server::TcpIncoming};
use uuid::Uuid;

type Answer<T> = Result<Response<T>, Status>;

/// The stand-in; clones are one.
#[derive(Clone, Default)]
pub struct Payments(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    payments: HashMap<String, wire::Payment>,
    calls: Vec<(&'static str, MetadataMap)>,
    /// Operations that wait until the test lets them go on.
    gates: HashMap<&'static str, Arc<Semaphore>>,
    /// Operations that answer UNAVAILABLE so many times more.
    failing: HashMap<&'static str, usize>,
    /// Orders whose payments were voided without having been made.
    closed: Vec<String>,
    captures: usize,
    refunds: usize,
}

impl Payments {
    /// Serves on a free port.
    pub async fn serve(&self, tracker: &tokio_util::task::TaskTracker) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(PaymentServiceServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tracker.spawn(server);
        address
    }

    fn book<T>(&self, act: impl FnOnce(&mut Book) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Has an operation wait until [`Self::go_on`].
    pub fn hold(&self, operation: &'static str) {
        self.book(|book| book.gates.insert(operation, Arc::new(Semaphore::new(0))));
    }

    /// Lets those that wait, and all that come, go on.
    pub fn go_on(&self, operation: &'static str) {
        if let Some(gate) = self.book(|book| book.gates.remove(operation)) {
            gate.close();
        }
    }

    /// Has an operation answer UNAVAILABLE so many times.
    pub fn fail(&self, operation: &'static str, times: usize) {
        self.book(|book| book.failing.insert(operation, times));
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.book(|book| book.calls.iter().filter(|call| call.0 == operation).count())
    }

    /// What the last call of an operation carried.
    pub fn metadata(&self, operation: &str) -> Option<MetadataMap> {
        self.book(|book| book.calls.iter().rfind(|call| call.0 == operation).map(|call| call.1.clone()))
    }

    /// Where the payment of an order stands.
    pub fn status(&self, order: &str) -> Option<wire::Status> {
        self.book(|book| book.payments.get(order).map(wire::Payment::status))
    }

    /// Captures and refunds that moved money.
    pub fn moved(&self) -> (usize, usize) {
        self.book(|book| (book.captures, book.refunds))
    }

    /// Voids a payment behind everybody's back.
    pub fn void_elsewhere(&self, order: &str) {
        self.book(|book| book.payments.get_mut(order).unwrap().set_status(wire::Status::Voided));
    }

    async fn called<T>(&self, operation: &'static str, request: Request<T>) -> Result<T, Status> {
        let (metadata, _, body) = request.into_parts();
        let (gate, fails) = self.book(|book| {
            book.calls.push((operation, metadata));
            let left = book.failing.entry(operation).or_default();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            (book.gates.get(operation).cloned(), fails)
        });
        if fails {
            return Err(Status::unavailable("not now"));
        }
        if let Some(gate) = gate {
            let _ = gate.acquire().await;
        }
        Ok(body)
    }

    fn change(&self, order: &str, act: impl FnOnce(&mut wire::Payment) -> Result<(), Status>) -> Answer<wire::Payment> {
        self.book(|book| {
            let payment = book.payments.get_mut(order).ok_or_else(|| Status::not_found("no payment"))?;
            act(payment)?;
            Ok(Response::new(payment.clone()))
        })
    }
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn check_token(&self, request: Request<wire::CheckTokenRequest>) -> Answer<wire::CheckTokenResponse> {
        let token = self.called("check_token", request).await?.payment_token;
        Ok(Response::new(wire::CheckTokenResponse { known: token.starts_with("tok_") }))
    }

    async fn authorize(&self, request: Request<wire::AuthorizeRequest>) -> Answer<wire::AuthorizeResponse> {
        let asked = self.called("authorize", request).await?;
        let (status, decline) = match asked.payment_token.as_str() {
            "tok_declined" => (wire::Status::Declined, wire::DeclineReason::Declined),
            "tok_insufficient_funds" => (wire::Status::Declined, wire::DeclineReason::InsufficientFunds),
            token if !token.starts_with("tok_") => return Err(Status::invalid_argument("payment_token")),
            _ => (wire::Status::Authorized, wire::DeclineReason::Unspecified),
        };
        let payment = self.book(|book| {
            let voided = book.closed.contains(&asked.order_id);
            let status = if voided { wire::Status::Voided } else { status };
            let made = || wire::Payment {
                id: Uuid::new_v4().to_string(),
                order_id: asked.order_id.clone(),
                user_id: asked.user_id.clone(),
                amount: asked.amount.clone(),
                status: status.into(),
                decline_reason: decline.into(),
                ..wire::Payment::default()
            };
            book.payments.entry(asked.order_id.clone()).or_insert_with(made).clone()
        });
        Ok(Response::new(wire::AuthorizeResponse { payment: Some(payment) }))
    }

    async fn capture(&self, request: Request<wire::CaptureRequest>) -> Answer<wire::CaptureResponse> {
        let order = self.called("capture", request).await?.order_id;
        let mut moved = 0;
        let payment = self.change(&order, |payment| match payment.status() {
            wire::Status::Authorized => {
                moved = 1;
                payment.set_status(wire::Status::Captured);
                Ok(())
            }
            wire::Status::Captured | wire::Status::Refunded => Ok(()),
            _ => Err(Status::failed_precondition("not authorized")),
        })?;
        self.book(|book| book.captures += moved);
        Ok(Response::new(wire::CaptureResponse { payment: Some(payment.into_inner()) }))
    }

    async fn void(&self, request: Request<wire::VoidRequest>) -> Answer<wire::VoidResponse> {
        let order = self.called("void", request).await?.order_id;
        if self.status(&order).is_none() {
            self.book(|book| book.closed.push(order));
            return Ok(Response::new(wire::VoidResponse { payment: None }));
        }
        let payment = self.change(&order, |payment| match payment.status() {
            wire::Status::Authorized => {
                payment.set_status(wire::Status::Voided);
                Ok(())
            }
            wire::Status::Voided | wire::Status::Declined => Ok(()),
            _ => Err(Status::failed_precondition("captured")),
        })?;
        Ok(Response::new(wire::VoidResponse { payment: Some(payment.into_inner()) }))
    }

    async fn refund(&self, request: Request<wire::RefundRequest>) -> Answer<wire::RefundResponse> {
        let order = self.called("refund", request).await?.order_id;
        let mut moved = 0;
        let payment = self.change(&order, |payment| match payment.status() {
            wire::Status::Captured => {
                moved = 1;
                payment.set_status(wire::Status::Refunded);
                Ok(())
            }
            wire::Status::Refunded => Ok(()),
            _ => Err(Status::failed_precondition("not captured")),
        })?;
        self.book(|book| book.refunds += moved);
        Ok(Response::new(wire::RefundResponse { payment: Some(payment.into_inner()) }))
    }

    async fn get_payment(&self, _: Request<wire::GetPaymentRequest>) -> Answer<wire::GetPaymentResponse> {
        Err(Status::unimplemented("not asked by order"))
    }

    async fn list_payments_by_order(
        &self,
        _: Request<wire::ListPaymentsByOrderRequest>,
    ) -> Answer<wire::ListPaymentsByOrderResponse> {
        Err(Status::unimplemented("not asked by order"))
    }

    async fn audit(&self, _: Request<wire::AuditRequest>) -> Answer<wire::AuditResponse> {
        Err(Status::unimplemented("not asked by order"))
    }
}
