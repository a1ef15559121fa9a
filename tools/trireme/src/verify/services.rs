//! The audit interfaces of the three services.

use std::time::Duration;

use anyhow::{Context as _, Result};
use auth::{CREDENTIAL_HEADER, Credential};
use proto::payment::v1::{
    AuditChargesRequest, AuditChargesResponse, AuditPaymentsRequest, AuditRequest, AuditResponse, AuditedPayment,
    payment_service_client::PaymentServiceClient,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use super::records::{Account, Customer, Order};
use crate::{http::Http, service::Service, state::State};

const TIMEOUT: Duration = Duration::from_secs(5);
/// What one page has: as much as the services give over HTTP.
const PAGE: u32 = 100;

/// The services, with what opens their audit.
#[derive(Clone)]
pub(super) struct Services {
    user: String,
    order: String,
    http: Http,
    credential: MetadataValue<Ascii>,
    payment: PaymentServiceClient<InterceptedService<Channel, WithCredential>>,
}

#[derive(Clone)]
struct WithCredential(MetadataValue<Ascii>);

impl Interceptor for WithCredential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(CREDENTIAL_HEADER, self.0.clone());
        Ok(request)
    }
}

impl Services {
    pub(super) fn new(state: &State, credential: &Credential) -> Result<Self> {
        let addresses = |name| state.service(name).map(|service| &service.addresses).context("nothing was started yet");
        let credential = MetadataValue::try_from(credential.header_value().as_bytes())?;
        let payment = Endpoint::from_shared(addresses(Service::Payment)?.grpc.clone())?;
        let channel = payment.timeout(TIMEOUT).connect_timeout(TIMEOUT).connect_lazy();
        Ok(Self {
            user: addresses(Service::User)?.http.clone(),
            order: addresses(Service::Order)?.http.clone(),
            http: Http::new(),
            payment: PaymentServiceClient::with_interceptor(channel, WithCredential(credential.clone())),
            credential,
        })
    }

    pub(super) async fn user(&self) -> Result<Value> {
        self.get(&self.user, "").await.context("user")
    }

    pub(super) async fn order(&self) -> Result<Value> {
        self.get(&self.order, "").await.context("order")
    }

    pub(super) async fn payment(&self) -> Result<AuditResponse> {
        Ok(self.payment.clone().audit(AuditRequest {}).await.context("payment")?.into_inner())
    }

    pub(super) async fn orders(&self, after: Option<Uuid>) -> Result<Vec<(Uuid, Order)>> {
        let orders: Vec<Order> = self.page(&self.order, "orders", after).await.context("order")?;
        Ok(orders.into_iter().map(|order| (order.id, order)).collect())
    }

    pub(super) async fn customers(&self, after: Option<Uuid>) -> Result<Vec<(Uuid, Customer)>> {
        let customers: Vec<Customer> = self.page(&self.order, "customers", after).await.context("order")?;
        Ok(customers.into_iter().map(|customer| (customer.user_id, customer)).collect())
    }

    pub(super) async fn accounts(&self, after: Option<Uuid>) -> Result<Vec<(Uuid, Account)>> {
        let accounts: Vec<Account> = self.page(&self.user, "accounts", after).await.context("user")?;
        Ok(accounts.into_iter().map(|account| (account.id, account)).collect())
    }

    pub(super) async fn payments(&self, after: Option<Uuid>) -> Result<Vec<(Uuid, AuditedPayment)>> {
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let page = self.payment.clone().audit_payments(AuditPaymentsRequest { after, limit: PAGE }).await;
        let payments = page.context("payment")?.into_inner().payments;
        payments.into_iter().map(|payment| Ok((Uuid::try_parse(&payment.order_id)?, payment))).collect()
    }

    pub(super) async fn charges(&self, after: String) -> Result<AuditChargesResponse> {
        let page = self.payment.clone().audit_charges(AuditChargesRequest { after, limit: PAGE }).await;
        Ok(page.context("payment")?.into_inner())
    }

    async fn page<T: DeserializeOwned>(&self, base: &str, list: &str, after: Option<Uuid>) -> Result<Vec<T>> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let mut page = self.get(base, &format!("/{list}?limit={PAGE}{after}")).await?;
        Ok(serde_json::from_value(page.get_mut(list).map(Value::take).unwrap_or_default())?)
    }

    async fn get(&self, base: &str, path: &str) -> Result<Value> {
        let headers = [(CREDENTIAL_HEADER, self.credential.to_str()?)];
        let url = format!("{base}/internal/v1/audit{path}");
        let answer = self.http.send(http::Method::GET, &url, &headers, None).await?;
        Ok(answer.expect(&[200], "audit")?.body)
    }
}
