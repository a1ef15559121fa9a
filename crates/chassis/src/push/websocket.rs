//! Over a WebSocket.

use std::{convert::Infallible, pin::pin};

use axum::response::Response;
use futures::{Stream, StreamExt as _};

use super::{
    Close, Pushed,
    socket::{Ended, Socket, Upgrade},
};

/// A client has nothing to say: pings, answers to them, and a reason to close.
const MAX_MESSAGE: usize = 1024;

/// Changes the protocol, and sends what comes.
pub(super) fn response(upgrade: Upgrade, messages: impl Stream<Item = Pushed> + Send + 'static) -> Response {
    upgrade.serve(MAX_MESSAGE, async move |mut socket| {
        let Err(ended) = push(&mut socket, messages).await;
        socket.end(ended).await;
    })
}

/// Sends what comes, until it ends or the client does.
async fn push(socket: &mut Socket, messages: impl Stream<Item = Pushed>) -> Result<Infallible, Ended> {
    let mut messages = pin!(messages);
    loop {
        tokio::select! {
            said = socket.receive() => {
                said?;
                return Err(Close::UNEXPECTED.into());
            }
            pushed = messages.next() => match pushed.ok_or(Ended(None))? {
                Pushed::Message(message) => socket.send(message.text()).await?,
                Pushed::Heartbeat(message) => {
                    socket.ping().await?;
                    if let Some(message) = message {
                        socket.send(message.text()).await?;
                    }
                }
                Pushed::Close(close) => return Err(close.into()),
            },
        }
    }
}
