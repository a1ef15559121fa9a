//! The accept loop of one server: bounded connections, and everybody who has knocked is let in.

use std::{sync::Arc, time::Duration};

use axum::Router;
use futures::FutureExt as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::connection;

/// After a failed accept (no file descriptors left) the loop rests, or it would spin.
const REST: Duration = Duration::from_millis(50);

/// How long the connections at the end may close by themselves.
const LINGER: Duration = Duration::from_millis(500);
/// Between two looks at how many are left.
const LOOK: Duration = Duration::from_millis(5);

/// The steps of the end, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases {
    /// Clients are told to go elsewhere.
    pub(crate) lame_duck: CancellationToken,
    /// No new connections; those that are open come to their end.
    pub(crate) stop: CancellationToken,
    /// Whatever is still open is cut.
    pub(crate) cut: CancellationToken,
}

/// Accepts until [`Phases::stop`]; the connections are on the tracker.
pub(crate) async fn serve(listener: TcpListener, router: Router, most: usize, phases: Phases, tracker: TaskTracker) {
    let places = Arc::new(Semaphore::new(most));
    let start = |stream: TcpStream, place: Option<OwnedSemaphorePermit>| {
        let connection = connection::serve(stream, router.clone(), phases.clone());
        tracker.spawn(async move {
            connection.await;
            drop(place);
        });
    };
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((listener.accept().await, place))
        };
        tokio::select! {
            biased;
            () = phases.stop.cancelled() => break,
            accepted = next => match accepted {
                Some((Ok((stream, _)), place)) => start(stream, Some(place)),
                _ => tokio::time::sleep(REST).await,
            },
        }
    }
    // Who was let into the queue by the kernel before is served too.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        start(stream, None);
    }
}
