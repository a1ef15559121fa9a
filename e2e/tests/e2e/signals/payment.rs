//! Payment as order calls it.

use std::fs;

use anyhow::Result;
use auth::{CREDENTIAL_HEADER, Credential};
use e2e::Cluster;
use proto::payment::v1::payment_service_client::PaymentServiceClient;
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// A client with order's credential.
pub(crate) type Client = PaymentServiceClient<InterceptedService<Channel, AsOrder>>;

pub(crate) async fn client(cluster: &Cluster) -> Result<Client> {
    let secret = fs::read_to_string(cluster.data().join("service.credential"))?;
    let credential = AsOrder(Credential::new(secret.trim_end(), "order"));
    let channel = Endpoint::from_shared(cluster.process("payment")?.grpc)?.connect().await?;
    Ok(PaymentServiceClient::with_interceptor(channel, credential))
}

/// Puts the credential on each call.
pub(crate) struct AsOrder(Credential);

impl Interceptor for AsOrder {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = self.0.header_value();
        request.metadata_mut().insert(CREDENTIAL_HEADER, value.to_str().unwrap().parse().unwrap());
        Ok(request)
    }
}
