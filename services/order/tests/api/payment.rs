//! A fake payment service: it keeps the contract, and fails or waits where a test wants it to.

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

/// The fake; clones share their state.
#[derive(Clone, Default)]
pub struct FakePayments(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    payments: HashMap<String, wire::Payment>,
    calls: Vec<(&'static str, MetadataMap)>,
    /// Operations that wait until the test resumes them.
    gates: HashMap<&'static str, Arc<Semaphore>>,
    /// Operations that answer UNAVAILABLE so many times more.
    failing: HashMap<&'static str, usize>,
    /// Operations that the provider refuses.
    refused: Vec<&'static str>,
    /// Orders whose payments were voided without having been made.
    closed: Vec<String>,
    captures: usize,
    refunds: usize,
}

impl FakePayments {
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

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Has an operation wait until [`Self::resume`].
    pub fn hold(&self, operation: &'static str) {
        self.state(|state| state.gates.insert(operation, Arc::new(Semaphore::new(0))));
    }

    /// Lets the calls that wait, and later ones, go on.
    pub fn resume(&self, operation: &'static str) {
        if let Some(gate) = self.state(|state| state.gates.remove(operation)) {
            gate.close();
        }
    }

    /// Has an operation answer UNAVAILABLE so many times.
    pub fn fail(&self, operation: &'static str, times: usize) {
        self.state(|state| state.failing.insert(operation, times));
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> usize {
        self.state(|state| state.calls.iter().filter(|call| call.0 == operation).count())
    }

    /// What the last call of an operation carried.
    pub fn metadata(&self, operation: &str) -> Option<MetadataMap> {
        self.state(|state| state.calls.iter().rfind(|call| call.0 == operation).map(|call| call.1.clone()))
    }

    /// The status of an order's payment.
    pub fn status(&self, order: &str) -> Option<wire::Status> {
        self.state(|state| state.payments.get(order).map(wire::Payment::status))
    }

    /// Captures and refunds that moved money.
    pub fn captures_and_refunds(&self) -> (usize, usize) {
        self.state(|state| (state.captures, state.refunds))
    }

    /// Has the provider refuse an operation.
    pub fn refuse(&self, operation: &'static str) {
        self.state(|state| state.refused.push(operation));
    }

    /// Voids or captures a payment as if somebody else had.
    pub fn done_elsewhere(&self, order: &str, status: wire::Status) {
        self.state(|state| state.payments.get_mut(order).unwrap().set_status(status));
    }

    async fn called<T>(&self, operation: &'static str, request: Request<T>) -> Result<T, Status> {
        let (metadata, _, body) = request.into_parts();
        let (gate, fails, refused) = self.state(|state| {
            state.calls.push((operation, metadata));
            let left = state.failing.entry(operation).or_default();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            (state.gates.get(operation).cloned(), fails, state.refused.contains(&operation))
        });
        if refused {
            return Err(Status::failed_precondition("the provider refuses"));
        }
        if fails {
            return Err(Status::unavailable("not now"));
        }
        if let Some(gate) = gate {
            let _ = gate.acquire().await;
        }
        Ok(body)
    }

    fn change(&self, order: &str, act: impl FnOnce(&mut wire::Payment) -> Result<(), Status>) -> Answer<wire::Payment> {
        self.state(|state| {
            let payment = state.payments.get_mut(order).ok_or_else(|| Status::not_found("no payment"))?;
            act(payment)?;
            Ok(Response::new(payment.clone()))
        })
    }
}

#[tonic::async_trait]
impl PaymentService for FakePayments {
    async fn check_token(&self, request: Request<wire::CheckTokenRequest>) -> Answer<wire::CheckTokenResponse> {
        let token = self.called("check_token", request).await?.payment_token;
        Ok(Response::new(wire::CheckTokenResponse { known: token.starts_with("tok_") }))
    }

    async fn authorize(&self, request: Request<wire::AuthorizeRequest>) -> Answer<wire::AuthorizeResponse> {
        let command = self.called("authorize", request).await?;
        let (status, decline) = match command.payment_token.as_str() {
            "tok_declined" => (wire::Status::Declined, wire::DeclineReason::Declined),
            "tok_insufficient_funds" => (wire::Status::Declined, wire::DeclineReason::InsufficientFunds),
            token if !token.starts_with("tok_") => return Err(Status::invalid_argument("payment_token")),
            _ => (wire::Status::Authorized, wire::DeclineReason::Unspecified),
        };
        let payment = self.state(|state| {
            let voided = state.closed.contains(&command.order_id);
            let status = if voided { wire::Status::Voided } else { status };
            let made = || wire::Payment {
                id: Uuid::new_v4().to_string(),
                order_id: command.order_id.clone(),
                user_id: command.user_id.clone(),
                amount: command.amount.clone(),
                status: status.into(),
                decline_reason: decline.into(),
                ..wire::Payment::default()
            };
            state.payments.entry(command.order_id.clone()).or_insert_with(made).clone()
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
        self.state(|state| state.captures += moved);
        Ok(Response::new(wire::CaptureResponse { payment: Some(payment.into_inner()) }))
    }

    async fn void(&self, request: Request<wire::VoidRequest>) -> Answer<wire::VoidResponse> {
        let order = self.called("void", request).await?.order_id;
        if self.status(&order).is_none() {
            self.state(|state| state.closed.push(order));
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
        self.state(|state| state.refunds += moved);
        Ok(Response::new(wire::RefundResponse { payment: Some(payment.into_inner()) }))
    }

    async fn get_payment(&self, _: Request<wire::GetPaymentRequest>) -> Answer<wire::GetPaymentResponse> {
        Err(Status::unimplemented("not called by order"))
    }

    async fn list_payments_by_order(
        &self,
        _: Request<wire::ListPaymentsByOrderRequest>,
    ) -> Answer<wire::ListPaymentsByOrderResponse> {
        Err(Status::unimplemented("not called by order"))
    }

    async fn audit(&self, _: Request<wire::AuditRequest>) -> Answer<wire::AuditResponse> {
        Err(Status::unimplemented("not called by order"))
    }

    async fn audit_payments(&self, _: Request<wire::AuditPaymentsRequest>) -> Answer<wire::AuditPaymentsResponse> {
        Err(Status::unimplemented("not called by order"))
    }

    async fn audit_charges(&self, _: Request<wire::AuditChargesRequest>) -> Answer<wire::AuditChargesResponse> {
        Err(Status::unimplemented("not called by order"))
    }
}
