//! The payment service over gRPC.

use async_trait::async_trait;
use client::{Grpc, GrpcChannel};
use error::Kind;
use proto::payment::v1::{self as wire, payment_service_client::PaymentServiceClient};
use uuid::Uuid;

use crate::{
    app::ports::{Authorization, Capture, PaymentError, Payments, Void},
    domain::{
        ids::OrderId,
        order::{Order, Payment},
        status::{PaymentStatus, Reason},
        values::PaymentToken,
    },
};

/// The payment service. Every call may be retried: payment's commands are idempotent by order.
#[derive(Debug, Clone)]
pub struct PaymentClient(Grpc);

impl PaymentClient {
    /// Calls through this client.
    pub fn new(grpc: Grpc) -> Self {
        Self(grpc)
    }
}

/// An answer that is not in the contract.
#[derive(Debug, thiserror::Error)]
#[error("payment answered {0}")]
struct Unexpected(String);

fn unexpected<T>(what: impl Into<String>) -> Result<T, PaymentError> {
    Err(PaymentError::Failed(Unexpected(what.into()).into()))
}

fn stub(channel: GrpcChannel) -> PaymentServiceClient<GrpcChannel> {
    PaymentServiceClient::new(channel)
}

#[async_trait]
impl Payments for PaymentClient {
    async fn knows_token(&self, token: &PaymentToken) -> Result<bool, PaymentError> {
        let request = wire::CheckTokenRequest { payment_token: token.expose().to_owned() };
        let call = |channel| {
            let request = request.clone();
            async move { stub(channel).check_token(request).await }
        };
        Ok(self.0.call(true, call).await.map_err(unanswered)?.known)
    }

    async fn authorize(&self, order: &Order, token: &PaymentToken) -> Result<Authorization, PaymentError> {
        let request = wire::AuthorizeRequest {
            order_id: order.id.to_string(),
            user_id: order.user.to_string(),
            amount: Some(wire::Money { amount: order.total.amount, currency: order.total.currency.code().to_owned() }),
            payment_token: token.expose().to_owned(),
        };
        let call = |channel| {
            let request = request.clone();
            async move { stub(channel).authorize(request).await }
        };
        match self.0.call(true, call).await {
            Ok(answer) => authorization(answer.payment),
            // The provider does not know the token: there will never be a payment.
            Err(error) if refusal(&error) == Some(Kind::Invalid) => {
                Ok(Authorization::Declined(None, Reason::PaymentDeclined))
            }
            Err(error) => Err(unanswered(error)),
        }
    }

    async fn capture(&self, order: OrderId) -> Result<Capture, PaymentError> {
        let request = wire::CaptureRequest { order_id: order.to_string() };
        let call = |channel| {
            let request = request.clone();
            async move { stub(channel).capture(request).await }
        };
        let answer = match self.0.call(true, call).await {
            Ok(answer) => answer,
            Err(error) if refusal(&error) == Some(Kind::Conflict) => return Ok(Capture::Impossible),
            Err(error) => return Err(unanswered(error)),
        };
        match parsed(answer.payment)? {
            Some((payment, _)) if payment.status == PaymentStatus::Captured => Ok(Capture::Captured(payment)),
            // Refunded by an earlier run that could not store it: the refund that follows finds it so again.
            Some((payment, _)) if payment.status == PaymentStatus::Refunded => {
                Ok(Capture::Captured(Payment { status: PaymentStatus::Captured, ..payment }))
            }
            other => unexpected(format!("a capture with {other:?}")),
        }
    }

    async fn void(&self, order: OrderId) -> Result<Void, PaymentError> {
        let request = wire::VoidRequest { order_id: order.to_string() };
        let call = |channel| {
            let request = request.clone();
            async move { stub(channel).void(request).await }
        };
        let answer = match self.0.call(true, call).await {
            Ok(answer) => answer,
            Err(error) if refusal(&error) == Some(Kind::Conflict) => return Ok(Void::Refused),
            Err(error) => return Err(unanswered(error)),
        };
        match parsed(answer.payment)? {
            None => Ok(Void::Released(None)),
            Some((payment, _)) if matches!(payment.status, PaymentStatus::Voided | PaymentStatus::Declined) => {
                Ok(Void::Released(Some(payment)))
            }
            other => unexpected(format!("a void with {other:?}")),
        }
    }

    async fn refund(&self, order: OrderId) -> Result<Payment, PaymentError> {
        let request = wire::RefundRequest { order_id: order.to_string() };
        let call = |channel| {
            let request = request.clone();
            async move { stub(channel).refund(request).await }
        };
        let answer = self.0.call(true, call).await.map_err(unanswered)?;
        match parsed(answer.payment)? {
            Some((payment, _)) if payment.status == PaymentStatus::Refunded => Ok(payment),
            other => unexpected(format!("a refund with {other:?}")),
        }
    }
}

fn authorization(payment: Option<wire::Payment>) -> Result<Authorization, PaymentError> {
    let Some((payment, reason)) = parsed(payment)? else {
        return unexpected("an authorization without a payment");
    };
    Ok(match payment.status {
        PaymentStatus::Authorized | PaymentStatus::Captured | PaymentStatus::Refunded => {
            Authorization::Authorized(payment)
        }
        PaymentStatus::Declined => Authorization::Declined(Some(payment), reason),
        PaymentStatus::Voided => Authorization::Voided(payment),
    })
}

/// The payment and, where it was declined, the reason; one whose outcome payment does not know yet is an error.
fn parsed(payment: Option<wire::Payment>) -> Result<Option<(Payment, Reason)>, PaymentError> {
    let Some(payment) = payment else {
        return Ok(None);
    };
    let status = match payment.status() {
        wire::Status::Authorized => PaymentStatus::Authorized,
        wire::Status::Declined => PaymentStatus::Declined,
        wire::Status::Captured => PaymentStatus::Captured,
        wire::Status::Voided => PaymentStatus::Voided,
        wire::Status::Refunded => PaymentStatus::Refunded,
        wire::Status::Pending => {
            return Err(PaymentError::Undecided(Unexpected("a payment that is pending".to_owned()).into()));
        }
        wire::Status::Unspecified => return unexpected("a payment without a status"),
    };
    let reason = match payment.decline_reason() {
        wire::DeclineReason::InsufficientFunds => Reason::InsufficientFunds,
        wire::DeclineReason::Declined | wire::DeclineReason::Unspecified => Reason::PaymentDeclined,
    };
    let Ok(id) = Uuid::try_parse(&payment.id) else {
        return unexpected("a payment whose id is no uuid");
    };
    Ok(Some((Payment { id, status }, reason)))
}

/// The kind of the error that payment answered with, if it answered.
fn refusal(error: &client::Error) -> Option<Kind> {
    match error {
        client::Error::Status { kind, .. } => Some(*kind),
        _ => None,
    }
}

fn unanswered(error: client::Error) -> PaymentError {
    match error {
        client::Error::BreakerOpen { .. } => PaymentError::Down(error.into()),
        client::Error::Timeout(_) | client::Error::Unavailable { .. } => PaymentError::Undecided(error.into()),
        // Another call for the same order is in progress, or payment failed internally: a retry may help.
        client::Error::Status { kind: Kind::Precondition | Kind::Internal, .. } => {
            PaymentError::Undecided(error.into())
        }
        client::Error::Status { .. } => PaymentError::Failed(error.into()),
    }
}
