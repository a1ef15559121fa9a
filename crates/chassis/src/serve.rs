//! The accept loop of one server: bounded connections, and everybody who has knocked is let in.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::connection;

/// After a failed accept (no file descriptors left) the loop rests, or it would spin.
const REST: Duration = Duration::from_millis(50);

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
    // Who was let into the queue by the kernel before is served too. The kernel is asked: tokio's own knowledge is as
    // old as its last poll.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start(stream, None);
        }
    }
}
