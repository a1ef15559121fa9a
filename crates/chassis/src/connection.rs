//! One connection: it is served until its peer, its [`Activity`] or the process brings it to its end, or until it becomes
//! another protocol's, whose task it is from then on.
//!
//! hyper's own timeouts cannot do it: the one for heads also closes connections that are merely idle between two
//! requests, detecting the protocol has none, and neither has a peer that reads nothing or only answers pings. Clients
//! and gateways keep connections for half a minute and more, and one closed under a request loses it.

mod watched;

use std::{convert::Infallible, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep},
};
use tower::Service as _;

use self::watched::{RequestBody, ResponseBody, Socket};
use crate::{
    activity::{Activity, Exchange},
    phases::Phases,
};

/// How often the activity is looked at.
const TICK: Duration = Duration::from_secs(2);
/// The same once the connection is to end.
const LAST_TICK: Duration = Duration::from_millis(50);
/// An HTTP/2 peer is pinged so often, and gone when it does not answer within [`PONG_TIMEOUT`].
const PING: Duration = Duration::from_secs(20);
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of an HTTP/1 request; the buffer grows with need.
const H1_BUFFER: usize = 32 * 1024;
const H2_STREAMS: u32 = 256;

/// Who is at the other end, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves requests until the client or the process ends.
pub(crate) async fn serve<S>(stream: S, peer: Peer, activity: Arc<Activity>, router: Router, phases: Phases)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Socket { stream, activity: Arc::clone(&activity) });
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let (mut router, lame_duck) = (router.clone(), phases.lame_duck.clone());
        let exchange = Exchange::begin(&activity);
        let request = request.map(|body| Body::new(RequestBody { body, asking: exchange.asking() }));
        async move {
            let old = request.version() < Version::HTTP_2;
            let Ok(mut response) = router.call(request).await;
            // HTTP/1 clients are asked to go elsewhere before the end; HTTP/2 has GOAWAY.
            if old && lame_duck.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, exchange)))
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut ending = None;
    loop {
        let pause = if ending.is_some() { LAST_TICK } else { TICK };
        tokio::select! {
            // First, so that what follows decides over all that has arrived and been answered by now.
            biased;
            // A connection that breaks is its client's business.
            _ = connection.as_mut() => return,
            () = phases.cut.cancelled() => return,
            () = activity.evicted() => if activity.idle_since().is_some() { return },
            () = phases.stop.cancelled(), if ending.is_none() => {}
            () = sleep(pause) => {}
        }
        if ending.is_none() && (phases.stop.is_cancelled() || activity.is_overdue()) {
            ending = Some(Instant::now());
            // In HTTP/1 it would close at once, under a request that is just arriving.
            if activity.is_http2() {
                connection.as_mut().graceful_shutdown();
            }
        }
        if ending.is_some_and(|asked| activity.is_over(asked)) {
            return;
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(H1_BUFFER).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG_TIMEOUT)
        .max_concurrent_streams(H2_STREAMS);
    builder
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// Settings without an entry, and some that shut the window of each stream.
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const SHUT: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
    /// `GET /`, as the first stream.
    const GET: &[u8] = b"\0\0\x09\x01\x05\0\0\0\x01\x82\x86\x84\x41\x04test";

    /// Asserts how many seconds the connection of a client lasts that never goes away.
    async fn assert_lasts(seconds: Range<u64>, client: impl AsyncFnOnce(DuplexStream)) {
        let router = Router::new().route("/", get(async || "a".repeat(100_000)));
        let (ours, theirs) = duplex(1024);
        let peer = Peer(IpAddr::from([127, 0, 0, 1]));
        let begin = Instant::now();
        tokio::select! {
            () = serve(ours, peer, Activity::new(), router, Phases::default()) => {}
            () = async { client(theirs).await; std::future::pending().await } => {}
        }
        assert!(seconds.contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }

    /// Speaks HTTP/2, answers pings, and asks for nothing more than this.
    async fn http2(mut stream: DuplexStream, parts: &[&[u8]]) {
        stream.write_all(&[&[PREFACE], parts].concat().concat()).await.unwrap();
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 6 && head[4] == 0 {
                stream.write_all(&[b"\0\0\x08\x06\x01\0\0\0\0", &payload[..]].concat()).await.unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_decide_nothing_hold_no_connection() {
        for bytes in [&b""[..], b"PRI", &PREFACE[..23], b"GET / HTTP/1.1\r\nHost"] {
            let client = async |mut stream: DuplexStream| {
                stream.write_all(bytes).await.unwrap();
                std::future::pending::<()>().await;
                drop(stream);
            };
            assert_lasts(10..14, client).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answering_pings_holds_no_connection() {
        assert_lasts(75..79, async |stream| http2(stream, &[SETTINGS]).await).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_whose_window_stays_shut_is_given_up() {
        assert_lasts(30..36, async |stream| http2(stream, &[SHUT, GET]).await).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_on_and_reads_nothing_is_given_up() {
        let client =
            async |mut stream: DuplexStream| while stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.is_ok() {};
        assert_lasts(30..36, client).await;
    }
}
