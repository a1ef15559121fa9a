//! Over a WebSocket.

use std::{pin::pin, time::Duration};

use axum::{
    Error,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message as Frame, WebSocket},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{Close, Pushed};

/// A client has nothing to say: pings, answers to them, and a reason to close.
const MAX_MESSAGE: usize = 1024;
/// Read at a time. Each connection has a buffer of this size.
const READ_BUFFER: usize = 512;
/// How long a client may take to take a message, and to answer a close.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client that answers none of so many pings is gone.
const UNANSWERED: u32 = 3;

/// Changes the protocol; the connection is one of the process' tasks from then on.
pub(super) fn response(
    upgrade: WebSocketUpgrade,
    tracker: &TaskTracker,
    messages: impl Stream<Item = Pushed> + Send + 'static,
) -> Response {
    let task = tracker.token();
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .on_upgrade(async move |mut socket| {
            if let Some(close) = push(&mut socket, messages).await {
                end(socket, close).await;
            }
            drop(task);
        })
}

/// Sends what comes, until it ends or the client does; returns what to tell the client where it is there.
async fn push(socket: &mut WebSocket, messages: impl Stream<Item = Pushed>) -> Option<Close> {
    let mut messages = pin!(messages);
    let mut unanswered = 0;
    loop {
        tokio::select! {
            frame = socket.recv() => match frame? {
                Ok(Frame::Ping(_) | Frame::Pong(_)) => unanswered = 0,
                Ok(Frame::Text(_) | Frame::Binary(_)) => return Some(Close::UNEXPECTED),
                Ok(Frame::Close(_)) => return None,
                Err(error) => return is_too_large(&error).then_some(Close::TOO_LARGE),
            },
            pushed = messages.next() => match pushed? {
                Pushed::Message(message) => send(socket, Frame::Text(message.text())).await?,
                Pushed::Heartbeat(_) if unanswered == UNANSWERED => return Some(Close::SILENT),
                Pushed::Heartbeat(message) => {
                    unanswered += 1;
                    send(socket, Frame::Ping(Bytes::new())).await?;
                    if let Some(message) = message {
                        send(socket, Frame::Text(message.text())).await?;
                    }
                }
                Pushed::Close(close) => return Some(close),
            },
        }
    }
}

/// Sends a frame; a client that does not take it in time gets nothing more.
async fn send(socket: &mut WebSocket, frame: Frame) -> Option<()> {
    timeout(SEND_TIMEOUT, socket.send(frame)).await.ok()?.ok()
}

/// Tells the client why, and waits a little for its answer: a connection that is dropped before may lose what was sent.
async fn end(mut socket: WebSocket, close: Close) {
    let frame = CloseFrame { code: close.code, reason: close.reason.into() };
    let goodbye = async {
        if socket.send(Frame::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // Whether it answers or not, it is over.
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}

/// axum shows no kinds of errors, only their words (tungstenite's `CapacityError`).
fn is_too_large(error: &Error) -> bool {
    error.to_string().contains("too long")
}
