//! Messages to values and back; every invalid field is named at once.

use clock::rfc3339;
use error::{Error, Violation};
use money::{Currency, Money};
use proto::payment::v1;
use tonic::Status;
use uuid::Uuid;

use crate::{
    app::{AuditedPayment, AuthorizePayment},
    domain::{self, DeclineReason, OrderId, PaymentToken},
};

/// Reads an id, or names the field that does not hold one.
pub(super) fn parse_id<T: From<Uuid>>(field: &str, text: &str) -> Result<T, Status> {
    let mut violations = Vec::new();
    read_id(field, text, &mut violations).ok_or_else(|| Error::invalid(violations).into())
}

/// The most that one page has.
const MAX_LIMIT: u32 = 1_000;

/// Reads the order after which a page begins; empty before the first.
pub(super) fn parse_after(text: &str) -> Result<Option<OrderId>, Status> {
    if text.is_empty() { Ok(None) } else { parse_id("after", text).map(Some) }
}

/// Reads how much a page has.
pub(super) fn parse_limit(limit: u32) -> Result<u32, Status> {
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::invalid(vec![Violation::field("/limit", format!("must be 1 to {MAX_LIMIT}"))]).into())
}

/// Reads an authorization to be made.
pub(super) fn authorize_payment(request: &v1::AuthorizeRequest) -> Result<AuthorizePayment, Status> {
    let mut violations = Vec::new();
    let order_id = read_id("order_id", &request.order_id, &mut violations);
    let user_id = read_id("user_id", &request.user_id, &mut violations);
    let amount = read_amount(request.amount.as_ref(), &mut violations);
    let token = PaymentToken::parse(&request.payment_token);
    if token.is_none() {
        violations.push(Violation::field("/payment_token", "must be 1 to 255 visible ASCII characters"));
    }
    match (order_id, user_id, amount, token) {
        (Some(order_id), Some(user_id), Some(amount), Some(token)) if violations.is_empty() => {
            Ok(AuthorizePayment { order_id, user_id, amount, token })
        }
        _ => Err(Error::invalid(violations).into()),
    }
}

fn read_id<T: From<Uuid>>(field: &str, text: &str, violations: &mut Vec<Violation>) -> Option<T> {
    // Only the hyphenated form: 36 characters.
    let id = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
    if id.is_none() {
        violations.push(Violation::field(format!("/{field}"), "must be a UUID"));
    }
    id.map(T::from)
}

fn read_amount(money: Option<&v1::Money>, violations: &mut Vec<Violation>) -> Option<Money> {
    let Some(money) = money else {
        violations.push(Violation::field("/amount", "is missing"));
        return None;
    };
    if money.amount < 1 {
        violations.push(Violation::field("/amount/amount", "must be at least 1"));
    }
    let currency = Currency::parse(&money.currency).ok();
    if currency.is_none() {
        violations.push(Violation::field("/amount/currency", "must be a currency of ISO 4217"));
    }
    currency.map(|currency| Money::new(money.amount, currency))
}

/// Writes a payment.
pub(super) fn to_proto(payment: &domain::Payment) -> v1::Payment {
    let (status, reason) = match payment.status {
        domain::Status::Pending => (v1::Status::Pending, None),
        domain::Status::Authorized => (v1::Status::Authorized, None),
        domain::Status::Declined(reason) => (v1::Status::Declined, Some(reason)),
        domain::Status::Captured => (v1::Status::Captured, None),
        domain::Status::Voided => (v1::Status::Voided, None),
        domain::Status::Refunded => (v1::Status::Refunded, None),
    };
    let decline_reason = match reason {
        None => v1::DeclineReason::Unspecified,
        Some(DeclineReason::Declined) => v1::DeclineReason::Declined,
        Some(DeclineReason::InsufficientFunds) => v1::DeclineReason::InsufficientFunds,
    };
    v1::Payment {
        id: payment.id.to_string(),
        order_id: payment.order_id.to_string(),
        user_id: payment.user_id.to_string(),
        amount: Some(to_money(&payment.amount)),
        status: status.into(),
        decline_reason: decline_reason.into(),
        version: payment.version,
        created_at: rfc3339(payment.created_at),
        updated_at: rfc3339(payment.updated_at),
    }
}

/// Writes what an audit says of an order.
pub(super) fn audited_payment(audited: AuditedPayment) -> v1::AuditedPayment {
    v1::AuditedPayment {
        order_id: audited.order_id.to_string(),
        payment: audited.payment.as_ref().map(to_proto),
        discrepancies: audited.discrepancies,
    }
}

/// Writes a charge.
pub(super) fn to_charge(charge: &domain::Charge) -> v1::Charge {
    v1::Charge {
        reference: charge.reference.as_str().to_owned(),
        order_id: charge.order_id.to_string(),
        amount: charge.amount.as_ref().map(to_money),
        state: charge.state.name().to_owned(),
    }
}

/// Writes sums, one a currency.
pub(super) fn to_money_list(sums: &[Money]) -> Vec<v1::Money> {
    sums.iter().map(to_money).collect()
}

fn to_money(money: &Money) -> v1::Money {
    v1::Money { amount: money.amount, currency: money.currency.to_string() }
}
