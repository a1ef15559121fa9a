//! The accept loop of one server: bounded connections, and at the end the accept queue is emptied.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::{
    activity::Activity,
    admission::{Admission, Permit},
    connection::{self, Peer},
    phases::Phases,
};

/// The pause after a failed accept (no file descriptors left): without it the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until [`Phases::stop`]; the connections are on the tracker.
///
/// # Errors
///
/// The listener is broken, so that nobody would be accepted any more.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    admission: Arc<Admission>,
    phases: Phases,
    tracker: TaskTracker,
) -> io::Result<()> {
    let start = |(stream, address): (TcpStream, SocketAddr), activity: Arc<Activity>, permit: Option<Permit>| {
        let _ = stream.set_nodelay(true); // without it answers are only slower
        let connection = connection::serve(stream, Peer(address.ip()), activity, router.clone(), phases.clone());
        tracker.spawn(async move {
            connection.await;
            drop(permit);
        });
    };
    let stop = || phases.stop.cancelled();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                let activity = Activity::new();
                let permit = tokio::select! {
                    biased;
                    permit = admission.admit(&activity) => Some(permit),
                    () = stop() => None,
                };
                start(accepted, activity, permit);
            }
            // What accept(2) says of a socket that does not listen.
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                admission.refuse(error.to_string());
                admission.evict_idle();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Connections that the kernel has put into the accept queue already are served too. The kernel itself is asked:
    // what tokio knows is as old as its last poll.
    let listener = listener.into_std()?;
    while let Ok((stream, address)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            start((stream, address), Activity::new(), None);
        }
    }
    Ok(())
}
