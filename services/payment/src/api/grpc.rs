//! `payment.v1.PaymentService`, for services that show their credential.

mod messages;

use std::sync::Arc;

use auth::{Caller, CallerInterceptor, Callers};
use error::{Error, Problem};
use proto::payment::v1::{
    AuditChargesRequest, AuditChargesResponse, AuditPaymentsRequest, AuditPaymentsResponse, AuditRequest,
    AuditResponse, AuthorizeRequest, AuthorizeResponse, CaptureRequest, CaptureResponse, CheckTokenRequest,
    CheckTokenResponse, GetPaymentRequest, GetPaymentResponse, ListPaymentsByOrderRequest, ListPaymentsByOrderResponse,
    RefundRequest, RefundResponse, VoidRequest, VoidResponse,
    payment_service_server::{PaymentService, PaymentServiceServer},
};
use tonic::{Request, Response, Status, service::interceptor::InterceptedService};

use self::messages::{
    audited_payment, authorize_payment, parse_after, parse_id, parse_limit, to_charge, to_money_list, to_proto,
};
use crate::{
    app::{self, App},
    domain::{ChargeReference, PaymentToken},
};

/// The only service that may change payments.
pub const COMMAND_CALLER: &str = "order";

/// Every service that may call.
pub const CALLERS: [&str; 2] = [COMMAND_CALLER, "trireme"];

/// The use cases as gRPC methods.
#[derive(Debug, Clone)]
pub struct Grpc {
    app: Arc<App>,
}

/// The methods, behind the check of credentials.
pub fn service(app: Arc<App>, secret: &str) -> InterceptedService<PaymentServiceServer<Grpc>, CallerInterceptor> {
    let callers = Callers::new(secret, &CALLERS);
    PaymentServiceServer::with_interceptor(Grpc { app }, callers.interceptor())
}

/// The message of a command, which only one service may give.
fn command<T>(request: Request<T>) -> Result<T, Status> {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.name() == COMMAND_CALLER => Ok(request.into_inner()),
        _ => Err(Error::new(Problem::CallerNotAllowed, "this service may only read").into()),
    }
}

fn to_status(error: app::Error) -> Status {
    Error::from(error).into()
}

#[tonic::async_trait]
impl PaymentService for Grpc {
    async fn check_token(&self, request: Request<CheckTokenRequest>) -> Result<Response<CheckTokenResponse>, Status> {
        let known = match PaymentToken::parse(&command(request)?.payment_token) {
            Some(token) => self.app.check_token(&token).await.map_err(to_status)?,
            None => false,
        };
        Ok(Response::new(CheckTokenResponse { known }))
    }

    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Result<Response<AuthorizeResponse>, Status> {
        let command = authorize_payment(&command(request)?)?;
        let payment = self.app.authorize(command).await.map_err(to_status)?;
        Ok(Response::new(AuthorizeResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn capture(&self, request: Request<CaptureRequest>) -> Result<Response<CaptureResponse>, Status> {
        let order = parse_id("order_id", &command(request)?.order_id)?;
        let payment = self.app.capture(order).await.map_err(to_status)?;
        Ok(Response::new(CaptureResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn void(&self, request: Request<VoidRequest>) -> Result<Response<VoidResponse>, Status> {
        let order = parse_id("order_id", &command(request)?.order_id)?;
        let payment = self.app.void(order, None).await.map_err(to_status)?;
        Ok(Response::new(VoidResponse { payment: payment.as_ref().map(to_proto) }))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<RefundResponse>, Status> {
        let order = parse_id("order_id", &command(request)?.order_id)?;
        let payment = self.app.refund(order).await.map_err(to_status)?;
        Ok(Response::new(RefundResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn get_payment(&self, request: Request<GetPaymentRequest>) -> Result<Response<GetPaymentResponse>, Status> {
        let id = parse_id("id", &request.into_inner().id)?;
        let payment = self.app.get_payment(id).await.map_err(to_status)?;
        Ok(Response::new(GetPaymentResponse { payment: Some(to_proto(&payment)) }))
    }

    async fn list_payments_by_order(
        &self,
        request: Request<ListPaymentsByOrderRequest>,
    ) -> Result<Response<ListPaymentsByOrderResponse>, Status> {
        let order = parse_id("order_id", &request.into_inner().order_id)?;
        let payments = self.app.list_payments(order).await.map_err(to_status)?;
        Ok(Response::new(ListPaymentsByOrderResponse { payments: payments.iter().map(to_proto).collect() }))
    }

    async fn audit(&self, _: Request<AuditRequest>) -> Result<Response<AuditResponse>, Status> {
        let audit = self.app.audit().await.map_err(to_status)?;
        Ok(Response::new(AuditResponse {
            captured: to_money_list(&audit.totals.captured),
            refunded: to_money_list(&audit.totals.refunded),
            held: to_money_list(&audit.totals.held),
            unbalanced: audit.totals.unbalanced,
            charged_twice: audit.charged_twice,
            unresolved: audit.totals.unresolved,
            outbox: audit.outbox,
            payments: audit.totals.payments,
        }))
    }
    async fn audit_payments(
        &self,
        request: Request<AuditPaymentsRequest>,
    ) -> Result<Response<AuditPaymentsResponse>, Status> {
        let AuditPaymentsRequest { after, limit } = request.into_inner();
        let (after, limit) = (parse_after(&after)?, parse_limit(limit)?);
        let payments = self.app.audit_payments(after, limit).await.map_err(to_status)?;
        Ok(Response::new(AuditPaymentsResponse { payments: payments.into_iter().map(audited_payment).collect() }))
    }

    async fn audit_charges(
        &self,
        request: Request<AuditChargesRequest>,
    ) -> Result<Response<AuditChargesResponse>, Status> {
        let AuditChargesRequest { after, limit } = request.into_inner();
        let after = (!after.is_empty()).then(|| ChargeReference::new(after));
        let charges = self.app.audit_charges(after.as_ref(), parse_limit(limit)?).await.map_err(to_status)?;
        Ok(Response::new(AuditChargesResponse {
            unknown: charges.unknown.iter().map(to_charge).collect(),
            last: charges.last.map(|last| last.as_str().to_owned()).unwrap_or_default(),
        }))
    }
}
