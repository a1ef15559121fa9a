//! Proves the books: what payments, ledger, provider and outbox say, in sums and order by order.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use tracing::instrument;

use super::{
    App, Error,
    ports::{Booked, Record, StoreError, Totals},
};
use crate::domain::{Charge, ChargeReference, OrderId, Payment, compare};

/// Orders of a page that are compared with the provider at the same time.
const CONCURRENCY: usize = 4;

/// The result of an audit.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// Sums over payments and ledger.
    pub totals: Totals,
    /// Orders with more than one charge at the provider that was not voided.
    pub charged_twice: u64,
    /// Events not yet published.
    pub outbox: u64,
}

/// What an audit says of one order.
#[derive(Debug, Clone)]
pub struct AuditedPayment {
    /// The order.
    pub order_id: OrderId,
    /// `None` where the order was closed before it had one, or its payment cannot be read.
    pub payment: Option<Payment>,
    /// Each thing in which payment, ledger and provider do not agree, in words.
    pub discrepancies: Vec<String>,
}

/// A page of the provider's charges.
#[derive(Debug, Clone)]
pub struct AuditedCharges {
    /// Those that have money, for an order that has nothing stored.
    pub unknown: Vec<Charge>,
    /// The last charge of the page; `None` where there are no more.
    pub last: Option<ChargeReference>,
}

impl App {
    /// Audits everything that is stored.
    ///
    /// # Errors
    /// The store or the provider does not answer.
    #[instrument(name = "payment.audit", skip_all)]
    pub async fn audit(&self) -> Result<Audit, Error> {
        let depth = self.outbox.depth().await;
        let depth = depth.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Audit {
            totals: self.payments.totals().await?,
            charged_twice: self.provider.charged_twice().await?,
            outbox: depth.count + depth.dead,
        })
    }

    /// Audits at most `limit` orders, by ascending id after `after`.
    ///
    /// # Errors
    /// The store or the provider does not answer.
    pub async fn audit_payments(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<AuditedPayment>, Error> {
        let page = self.payments.page(after, limit).await?;
        futures::stream::iter(page).map(|booked| self.audit_payment(booked)).buffered(CONCURRENCY).try_collect().await
    }

    async fn audit_payment(&self, Booked { order_id, stored }: Booked) -> Result<AuditedPayment, Error> {
        let (payment, ledger) = match stored {
            Ok((Record::Payment(payment), ledger)) => (Some(payment), ledger),
            Ok((Record::Closed, ledger)) => (None, ledger),
            Err(StoreError::Failed(cause)) => {
                return Ok(AuditedPayment { order_id, payment: None, discrepancies: vec![cause.to_string()] });
            }
            Err(error) => return Err(error.into()),
        };
        let found = compare(payment.as_ref(), &ledger, &self.charges(order_id).await?);
        Ok(AuditedPayment { order_id, payment, discrepancies: found.iter().map(ToString::to_string).collect() })
    }

    /// Audits at most `limit` charges of the provider, after `after`.
    ///
    /// # Errors
    /// The store or the provider does not answer.
    pub async fn audit_charges(&self, after: Option<&ChargeReference>, limit: u32) -> Result<AuditedCharges, Error> {
        let charges = self.list_charges(after, limit).await?;
        let last = charges.last().map(|charge| charge.reference.clone());
        let live: Vec<Charge> = charges.into_iter().filter(|charge| charge.state.is_live()).collect();
        let orders: Vec<OrderId> = live.iter().map(|charge| charge.order_id).collect();
        // After the charges: an order's intent is stored before it has any.
        let booked = if orders.is_empty() { Vec::new() } else { self.payments.booked(&orders).await? };
        let known: HashSet<OrderId> = booked.iter().map(|booked| booked.order_id).collect();
        let unknown = live.into_iter().filter(|charge| !known.contains(&charge.order_id)).collect();
        Ok(AuditedCharges { unknown, last })
    }
}
