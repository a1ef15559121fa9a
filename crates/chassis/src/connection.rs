//! One connection: which protocol it speaks, how long it may be slow or idle, how it ends.
//!
//! hyper's own header timeout also closes connections that are merely idle between two requests, and its protocol
//! detection waits for ever and forgets what has arrived when it is told to stop. Clients and gateways keep connections
//! for half a minute and more, and one closed under a request loses it; so both are done here.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::TcpStream,
    time::{Instant, interval, sleep, timeout},
};
use tower::Service as _;

use crate::phases::Phases;

/// A client has this long from its first byte to the end of a request's head, and as long for its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is idle for so long is closed: longer than clients and gateways usually keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often both timeouts are checked.
const TICK: Duration = Duration::from_secs(2);
/// A request that is just arriving on an idle HTTP/1 connection when the end comes is still waited for.
const LAST_CALL: Duration = Duration::from_millis(200);
/// An HTTP/2 peer that does not answer a ping this often is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Longest head of an HTTP/1 request; the buffer grows with need.
const H1_BUFFER: usize = 32 * 1024;
const H2_STREAMS: u32 = 256;

/// Who is at the other end, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves requests until the client or the process ends.
pub(crate) async fn serve(stream: TcpStream, router: Router, phases: Phases) {
    let _ = stream.set_nodelay(true); // without it answers are only slower
    let Some(h2) = speaks_h2(&stream, &phases).await else { return };
    let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
    let activity = Arc::new(Activity::new());
    let io = Watched { inner: TokioIo::new(stream), activity: Arc::clone(&activity) };
    let service = service_fn(|mut request: Request<Incoming>| {
        peer.and_then(|peer| request.extensions_mut().insert(peer));
        let (mut router, activity, lame_duck) = (router.clone(), Arc::clone(&activity), phases.lame_duck.clone());
        async move {
            let _busy = Busy::new(&activity);
            let old = request.version() < Version::HTTP_2;
            let Ok(mut response) = router.call(request.map(Body::new)).await;
            // HTTP/1 clients are asked to go elsewhere before the end; HTTP/2 has GOAWAY.
            if old && lame_duck.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder(h2);
    let mut connection = pin!(builder.serve_connection(io, service));
    let (mut last_call, mut tick) = (pin!(last_call(&phases, h2)), interval(TICK));
    let mut ending = false;
    loop {
        let idle = tokio::select! {
            // A connection that breaks is its client's business.
            _ = connection.as_mut() => return,
            () = phases.cut.cancelled() => return,
            () = last_call.as_mut(), if !ending => true,
            _ = tick.tick(), if !h2 => match activity.verdict() {
                Verdict::Stalled => return,
                verdict => verdict == Verdict::Idle,
            },
        };
        if idle && !ending {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Waits until the connection is to come to its end.
async fn last_call(phases: &Phases, h2: bool) {
    phases.stop.cancelled().await;
    if !h2 {
        sleep(LAST_CALL).await;
    }
}

/// Peeks at the first bytes: HTTP/2 begins with `PRI`, no HTTP/1 method does. `None` where the
/// client goes away or says nothing.
async fn speaks_h2(stream: &TcpStream, phases: &Phases) -> Option<bool> {
    let peek = async {
        loop {
            let mut start = [0; 3];
            match stream.peek(&mut start).await.ok()? {
                0 => return None,
                3 => return Some(&start == b"PRI"),
                n if b"PRI".starts_with(&start[..n]) => sleep(Duration::from_millis(10)).await,
                _ => return Some(false),
            }
        }
    };
    tokio::select! {
        biased;
        found = timeout(HEAD_TIMEOUT, peek) => found.ok().flatten(),
        () = last_call(phases, false) => None,
    }
}

fn builder(h2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().max_buf_size(H1_BUFFER).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(HEAD_TIMEOUT)
        .max_concurrent_streams(H2_STREAMS);
    builder
}

/// What an HTTP/1 connection is doing, and since when.
#[derive(Debug)]
struct Activity {
    born: Instant,
    state: AtomicU8,
    since: AtomicU64,
}

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    Idle,
    Stalled,
}

impl Activity {
    fn new() -> Self {
        Self { born: Instant::now(), state: AtomicU8::new(IDLE), since: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn enter(&self, state: u8) {
        self.since.store(self.now(), Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
    }

    fn bytes_received(&self) {
        if self.state.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    fn verdict(&self) -> Verdict {
        let lasted = Duration::from_millis(self.now().saturating_sub(self.since.load(Ordering::Relaxed)));
        match self.state.load(Ordering::Relaxed) {
            HEAD if lasted >= HEAD_TIMEOUT => Verdict::Stalled,
            IDLE if lasted >= IDLE_TIMEOUT => Verdict::Idle,
            _ => Verdict::Fine,
        }
    }
}

/// The time in which a request is being handled.
struct Busy<'a>(&'a Activity);

impl<'a> Busy<'a> {
    fn new(activity: &'a Activity) -> Self {
        activity.enter(BUSY);
        Self(activity)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.enter(IDLE);
    }
}

/// A connection that notes when bytes come in.
#[derive(Debug)]
struct Watched {
    inner: TokioIo<TcpStream>,
    activity: Arc<Activity>,
}

impl Read for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.activity.bytes_received();
        }
        read
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }
}
