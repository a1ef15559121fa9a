//! `payment.v1.PaymentService`, for services that show their credential.

mod messages;

use auth::{Caller, CallerInterceptor, Callers};
use error::{Error, Kind};
use proto::payment::v1::{
    AuditRequest, AuditResponse, AuthorizeRequest, AuthorizeResponse, CaptureRequest, CaptureResponse,
    CheckTokenRequest, CheckTokenResponse, GetPaymentRequest, GetPaymentResponse, ListPaymentsByOrderRequest,
    ListPaymentsByOrderResponse, RefundRequest, RefundResponse, VoidRequest, VoidResponse,
    payment_service_server::{PaymentService, PaymentServiceServer},
};
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};

use self::messages::{id, order, to_proto, to_sums};
use crate::{
    app::{Cashier, Failure},
    domain::PaymentToken,
};

/// The service that gives commands.
pub const COMMANDER: &str = "order";

/// Every service that may call.
pub const CALLERS: [&str; 2] = [COMMANDER, "trireme"];

/// The gRPC face of the cashier.
#[derive(Debug, Clone)]
pub struct Grpc {
    cashier: Cashier,
}

/// Puts the service behind the check of credentials.
pub fn service(cashier: Cashier, secret: &str) -> InterceptedService<PaymentServiceServer<Grpc>, CallerInterceptor> {
    let callers = Callers::new(secret, &CALLERS);
    PaymentServiceServer::with_interceptor(Grpc { cashier }, callers.interceptor())
}

/// Takes the message out of a command, which only one service may give.
fn command<T>(request: Request<T>) -> Result<T, Status> {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.name() == COMMANDER => Ok(request.into_inner()),
        _ => Err(Error::new(Kind::Forbidden, "this service may only read").into()),
    }
}

fn failed(failure: Failure) -> Status {
    Error::from(failure).into()
}

#[tonic::async_trait]
impl PaymentService for Grpc {
    async fn check_token(&self, request: Request<CheckTokenRequest>) -> Result<Response<CheckTokenResponse>, Status> {
        let known = match PaymentToken::parse(&command(request)?.payment_token) {
            Some(token) => self.cashier.knows(&token).await.map_err(failed)?,
            None => false,
        };
        Ok(Response::new(CheckTokenResponse { known }))
    }

    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Result<Response<AuthorizeResponse>, Status> {
        let order = order(&command(request)?)?;
        let payment = self.cashier.authorize(order).await.map_err(failed)?;
        Ok(Response::new(AuthorizeResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn capture(&self, request: Request<CaptureRequest>) -> Result<Response<CaptureResponse>, Status> {
        let order = id("order_id", &command(request)?.order_id)?;
        let payment = self.cashier.capture(order).await.map_err(failed)?;
        Ok(Response::new(CaptureResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn void(&self, request: Request<VoidRequest>) -> Result<Response<VoidResponse>, Status> {
        let order = id("order_id", &command(request)?.order_id)?;
        let payment = self.cashier.void(order, None).await.map_err(failed)?;
        Ok(Response::new(VoidResponse { payment: payment.as_ref().map(to_proto) }))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        let order = id("order_id", &command(request)?.order_id)?;
        let payment = self.cashier.refund(order).await.map_err(failed)?;
        Ok(Response::new(RefundResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<GetPaymentResponse>, Status> {
        let id = id("id", &request.into_inner().id)?;
        let payment = self.cashier.get(id).await.map_err(failed)?;
        Ok(Response::new(GetPaymentResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn list_payments_by_order(
        &self,
        request: Request<ListPaymentsByOrderRequest>,
    ) -> Result<Response<ListPaymentsByOrderResponse>, Status> {
        let order = id("order_id", &request.into_inner().order_id)?;
        let payments = self.cashier.list(order).await.map_err(failed)?;
        Ok(Response::new(ListPaymentsByOrderResponse { payments: payments.iter().map(to_proto).collect() }))
    }

    async fn audit(&self, _: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        let audit = self.cashier.audit().await.map_err(failed)?;
        Ok(Response::new(AuditResponse {
            captured: to_sums(&audit.books.captured),
            refunded: to_sums(&audit.books.refunded),
            held: to_sums(&audit.books.held),
            unbalanced: audit.books.unbalanced,
            charged_twice: audit.charged_twice,
            unresolved: audit.books.unresolved,
            outbox: audit.outbox,
            payments: audit.books.payments,
        }))
    }
}
