//! The accept loop of one server: bounded connections, slow clients cut off, an end without broken requests.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, middleware::{Next, from_fn_with_state}, response::Response};
use futures::FutureExt as _;
use http::{HeaderValue, Version, header::CONNECTION};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// A client has this long for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 peer that does not answer a ping this often is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// After a failed accept (no file descriptors left) the loop rests, or it would spin.
const REST: Duration = Duration::from_millis(50);

/// The steps of the end, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases {
    /// Clients are told to go elsewhere.
    pub(crate) lame_duck: CancellationToken,
    /// No new connections.
    pub(crate) stop: CancellationToken,
}

/// Serves `router` until [`Phases::stop`], then until the requests in flight have ended.
pub(crate) async fn serve(listener: TcpListener, router: Router, connections: usize, phases: Phases, tracker: TaskTracker) {
    let router = router.layer(from_fn_with_state(phases.lame_duck.clone(), turn_away));
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    let start = |stream: TcpStream, place: OwnedSemaphorePermit| {
        let service = router.clone().map_request(|request: Request<Incoming>| request.map(Body::new));
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(KEEP_ALIVE);
        let _ = stream.set_nodelay(true);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection.into_owned());
        tracker.spawn(async move {
            // A connection that breaks is its client's business.
            let _ = connection.await;
            drop(place);
        });
    };
    let mut stop = pin!(phases.stop.cancelled());
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = next => match accepted {
                Some((Ok((stream, _)), place)) => start(stream, place),
                _ => tokio::time::sleep(REST).await,
            },
        }
    }
    // Who was let into the queue by the kernel before is served too.
    while let Ok(place) = Arc::clone(&places).try_acquire_owned()
        && let Some(Ok((stream, _))) = listener.accept().now_or_never()
    {
        start(stream, place);
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Asks HTTP/1 clients to close their connection while the process is about to end; HTTP/2 has GOAWAY.
async fn turn_away(
    axum::extract::State(lame_duck): axum::extract::State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let old = request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if old && lame_duck.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
