//! gRPC: layers, health and reflection.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use telemetry::Carrier;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::support::{Server, app, config, post};

/// `test.Probe`: text in, text out; what it does is in the text.
#[derive(Clone)]
pub(crate) struct Probe;

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

impl UnaryService<String> for Probe {
    type Response = String;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Status>> + Send>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            match request.into_inner().as_str() {
                "panic" => panic!("the secret is 1234"),
                "hang" => std::future::pending().await,
                "internal" => Err(error::Error::internal(std::io::Error::other("the secret is 1234")).into()),
                "left" => Ok(Response::new(telemetry::remaining(Duration::from_hours(1)).as_millis().to_string())),
                _ => {
                    let carrier = Carrier::current();
                    let trace = telemetry::trace_id().unwrap_or_default();
                    Ok(Response::new(format!(
                        "{trace} {} {}",
                        telemetry::canary(),
                        carrier.traceparent.unwrap_or_default()
                    )))
                }
            }
        })
    }
}

impl tower::Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let probe = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(ProstCodec::default()).unary(probe, request).await) })
    }
}

pub(crate) fn probe() -> chassis::App {
    let mut app = app(Router::new());
    app.grpc = Routes::new(Probe);
    app
}

/// Calls the probe over any channel.
pub(crate) async fn call<C>(channel: C, request: Request<String>) -> Result<Response<String>, Status>
where
    C: tonic::client::GrpcService<Body>,
    C::ResponseBody: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as axum::body::HttpBody>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|_| Status::unavailable("not ready"))?;
    let path = http::uri::PathAndQuery::from_static("/test.Probe/Call");
    client.unary(request, path, ProstCodec::<String, String>::default()).await
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(format!("http://{}", server.grpc)).unwrap().connect().await.unwrap()
}

async fn code(channel: &Channel, text: &str) -> Code {
    call(channel.clone(), Request::new(text.to_owned())).await.unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_and_causes_stay_inside() {
    let server = Server::start(config(), probe()).await;
    let channel = channel(&server).await;
    for text in ["panic", "internal"] {
        let status = call(channel.clone(), Request::new(text.into())).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(!format!("{status:?}").contains("1234"), "{status:?}");
    }
    assert!(call(channel, Request::new("fine".into())).await.is_ok(), "the connection lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_are_kept() {
    let mut config = config();
    config.limits.request_timeout = Duration::from_millis(1500);
    let server = Server::start(config, probe()).await;
    let channel = channel(&server).await;
    let mut request = Request::new("left".to_owned());
    request.metadata_mut().insert("grpc-timeout", "400m".parse().unwrap());
    let left: u64 = call(channel.clone(), request).await.unwrap().into_inner().parse().unwrap();
    assert!((1..=400).contains(&left), "{left}");
    let left = call(channel.clone(), Request::new("left".into())).await.unwrap().into_inner();
    assert!((401..=1500).contains(&left.parse::<u64>().unwrap()), "{left}");
    assert_eq!(code(&channel, "hang").await, Code::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_are_refused() {
    let mut config = config();
    config.limits.max_in_flight = 0;
    let server = Server::start(config, probe()).await;
    assert_eq!(code(&channel(&server).await, "fine").await, Code::ResourceExhausted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_reflection_are_there() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let server = Server::start(config(), probe()).await;
    let channel = channel(&server).await;
    let mut health = HealthClient::new(channel.clone());
    testkit::eventually!(health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status == 1);

    let ask = |question| ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        // What an error says in its details can be read, too.
        ask(MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".to_owned())),
    ];
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(futures::stream::iter(questions)).await.unwrap().into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = listed else { panic!("{listed:?}") };
    assert!(list.service.iter().any(|service| service.name == "grpc.health.v1.Health"), "{list:?}");
    let file = answers.message().await.unwrap().unwrap().message_response;
    assert!(matches!(file, Some(MessageResponse::FileDescriptorResponse(_))), "{file:?}");
}

/// A page of a browser can neither send nor read trailers: they come as the last frame of the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_call_over_grpc_web() {
    let server = Server::start(config(), probe()).await;
    // One frame, not compressed, of six bytes: a google.protobuf.StringValue.
    let frame = b"\0\0\0\0\x06\x0a\x04fine";
    let answer = post(server.grpc, "/test.Probe/Call", "application/grpc-web+proto", frame).await.unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc-web+proto")));
    assert!(String::from_utf8_lossy(&answer.body).contains("grpc-status:0"), "{answer:?}");
}
