//! The accept loop of one server: bounded connections, and at the end the accept queue is emptied.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::TaskTracker;

use crate::{connection, phases::Phases};

/// The pause after a failed accept (no file descriptors left): without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until [`Phases::stop`]; the connections are on the tracker.
pub(crate) async fn serve(listener: TcpListener, router: Router, most: usize, phases: Phases, tracker: TaskTracker) {
    let permits = Arc::new(Semaphore::new(most));
    let start = |stream: TcpStream, permit: Option<OwnedSemaphorePermit>| {
        let connection = connection::serve(stream, router.clone(), phases.clone());
        tracker.spawn(async move {
            connection.await;
            drop(permit);
        });
    };
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        tokio::select! {
            biased;
            () = phases.stop.cancelled() => break,
            accepted = next => match accepted {
                Some((Ok((stream, _)), permit)) => start(stream, Some(permit)),
                _ => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // Connections that the kernel has put into the accept queue already are served too. The kernel itself is asked:
    // what tokio knows is as old as its last poll.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start(stream, None);
        }
    }
}
