//! A WebSocket of which every message and every wait is bounded.

use std::time::Duration;

use axum::{
    Error,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame, Utf8Bytes, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use telemetry::Carrier;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tracing::Span;

use super::{Close, turns::HEARTBEAT};

/// Read at a time. Each connection has a buffer of this size.
const READ_BUFFER: usize = 512;
/// How long a client may take to take a message, and to answer a close.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client that answers none of so many pings is gone.
const UNANSWERED: u32 = 3;
/// What a client may say from one heartbeat to the next.
const MAX_SAID: u32 = 200;
/// Longer than any time that is given.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// A request for a WebSocket, which may be answered with one.
#[derive(Debug)]
pub struct Upgrade {
    request: WebSocketUpgrade,
    task: TaskTrackerToken,
    stop: CancellationToken,
    stranger: Option<OwnedSemaphorePermit>,
}

impl Upgrade {
    pub(super) fn new(upgrade: WebSocketUpgrade, tracker: &TaskTracker, stop: CancellationToken) -> Self {
        Self { request: upgrade, task: tracker.token(), stop, stranger: None }
    }

    /// Counts as one of a stranger until it is admitted.
    pub(super) fn of_stranger(self, permit: OwnedSemaphorePermit) -> Self {
        Self { stranger: Some(permit), ..self }
    }

    /// Changes the protocol; the connection is one of the process' tasks from then on, and part of the request's trace. The
    /// client may send messages of so many bytes.
    pub fn serve<F>(self, max_message: usize, talk: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { request, task, stop, stranger } = self;
        let carrier = Carrier::current();
        request
            .max_message_size(max_message)
            .max_frame_size(max_message)
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .on_upgrade(async move |socket| {
                let talk = talk(Socket::new(socket, stop, task, stranger));
                telemetry::scope(&carrier, None, Span::none(), talk).await;
            })
    }
}

/// Why nothing more is said: what the client is to be told, where it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended(pub Option<Close>);

impl From<Close> for Ended {
    fn from(close: Close) -> Self {
        Self(Some(close))
    }
}

/// What is next on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<T> {
    /// The client has said this; `None` where it is no text.
    Said(Option<Utf8Bytes>),
    /// This has come, of which the client may be told.
    Event(T),
}

/// A WebSocket that is open.
#[derive(Debug)]
pub struct Socket {
    frames: WebSocket,
    unanswered: u32,
    said: u32,
    heartbeat: Instant,
    ends: (Instant, Close),
    stop: CancellationToken,
    stranger: Option<OwnedSemaphorePermit>,
    _task: TaskTrackerToken,
}

impl Socket {
    fn new(
        frames: WebSocket,
        stop: CancellationToken,
        task: TaskTrackerToken,
        stranger: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let now = Instant::now();
        let (heartbeat, ends) = (now + HEARTBEAT, (now + FOREVER, Close::GOING_AWAY));
        Self { frames, unanswered: 0, said: 0, heartbeat, ends, stop, stranger, _task: task }
    }

    /// It is known whose it is: others may take a stranger's place.
    pub fn admitted(&mut self) {
        self.stranger = None;
    }

    /// From now on the connection lasts so long, and then ends so.
    pub fn lasts(&mut self, time: Duration, then: Close) {
        self.ends = (Instant::now() + time, then);
    }

    /// Waits for the client to say something, or for something to come; meanwhile the client has to show that it is there.
    /// Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// The client is gone or silent or says too much, the time is over, or the process ends.
    pub async fn listen<T>(&mut self, events: &mut (impl Stream<Item = T> + Unpin)) -> Result<Heard<T>, Ended> {
        loop {
            let (stop, heartbeat, (ends, then)) = (self.stop.clone(), self.heartbeat, self.ends);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Close::GOING_AWAY.into()),
                () = sleep_until(ends) => return Err(then.into()),
                () = sleep_until(heartbeat) => self.beat().await?,
                said = self.receive() => {
                    let said = said?;
                    self.said += 1;
                    return if self.said > MAX_SAID { Err(Close::TOO_MUCH.into()) } else { Ok(Heard::Said(said)) };
                }
                Some(event) = events.next() => return Ok(Heard::Event(event)),
            }
        }
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        self.heartbeat = Instant::now() + HEARTBEAT;
        self.said = 0;
        self.ping().await
    }

    /// Waits for the client to say something; `None` where that is no text. Nothing is lost where the wait is given up.
    ///
    /// # Errors
    /// The client has closed the connection or is gone, or its message is too large.
    pub(super) async fn receive(&mut self) -> Result<Option<Utf8Bytes>, Ended> {
        loop {
            match self.frames.recv().await {
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => self.unanswered = 0,
                Some(Ok(Frame::Text(text))) => {
                    self.unanswered = 0;
                    return Ok(Some(text));
                }
                Some(Ok(Frame::Binary(_))) => return Ok(None),
                Some(Ok(Frame::Close(_))) | None => return Err(Ended(None)),
                Some(Err(error)) => return Err(Ended(is_too_large(&error).then_some(Close::TOO_LARGE))),
            }
        }
    }

    /// Sends a text; a client that does not take it in time gets nothing more.
    ///
    /// # Errors
    /// The client is gone.
    pub async fn send(&mut self, text: Utf8Bytes) -> Result<(), Ended> {
        self.write(Frame::Text(text)).await
    }

    /// Asks whether the client is there.
    ///
    /// # Errors
    /// It is gone, or has said nothing since it was asked a few times.
    pub(super) async fn ping(&mut self) -> Result<(), Ended> {
        if self.unanswered == UNANSWERED {
            return Err(Close::SILENT.into());
        }
        self.unanswered += 1;
        self.write(Frame::Ping(Bytes::new())).await
    }

    async fn write(&mut self, frame: Frame) -> Result<(), Ended> {
        let sent = timeout(SEND_TIMEOUT, self.frames.send(frame)).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Ended(None)) }
    }

    /// Tells the client why, and waits a little for its answer: a connection that is dropped before may lose what was sent.
    pub async fn end(mut self, ended: Ended) {
        let Ended(Some(close)) = ended else { return };
        let frame = CloseFrame { code: close.code, reason: close.reason.into() };
        let goodbye = async {
            if self.frames.send(Frame::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.frames.recv().await {}
            }
        };
        // Whether it answers or not, it is over.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

/// axum shows no kinds of errors, only their words (tungstenite's `CapacityError`).
fn is_too_large(error: &Error) -> bool {
    error.to_string().contains("too long")
}
