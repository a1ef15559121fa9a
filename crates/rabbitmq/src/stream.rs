//! Reading a stream: from an offset, and where it ends.

use futures::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicQosOptions},
    types::AMQPValue,
};
use tokio::time::timeout;

use crate::{
    client::{Failure, Link, TIMEOUT, consume, limited, table},
    message::Received,
};

/// Messages on their way to a reader.
const PREFETCH: u16 = 256;
/// The last part of a stream holds so many messages at most.
const PART: u16 = 8_192;

/// Consumes a stream from an offset on.
pub(crate) async fn read(channel: &Channel, stream: &str, from: u64) -> Result<Consumer, Failure> {
    let from = match i64::try_from(from) {
        Ok(0) | Err(_) => AMQPValue::LongString("first".into()),
        Ok(from) => AMQPValue::LongLongInt(from),
    };
    consume(channel, stream, PREFETCH, table([("x-stream-offset", from)])).await
}

/// Takes a message and lets the server send another one for it. It says so without waiting: there is nothing to be lost.
pub(crate) fn take(delivery: &Delivery) -> Option<Received> {
    let _ = delivery.acker.ack(BasicAckOptions::default()).now_or_never();
    Received::of(delivery)
}

/// The oldest message; a stream has one. It is consumed on a channel that is of no use afterwards.
pub(crate) async fn first(channel: &Channel, stream: &str) -> Result<Received, Failure> {
    let mut messages = read(channel, stream, 0).await?;
    let first = timeout(TIMEOUT, messages.next()).await.map_err(|_| Failure::Late(TIMEOUT))?;
    let gone = || Failure::NoQueue(stream.to_owned());
    Received::of(&first.ok_or_else(gone)??).ok_or_else(gone)
}

/// The offset of the last message; a stream has one. A message that is stored at the same moment may not count yet.
pub(crate) async fn last(link: &Link, stream: &str) -> Result<u64, Failure> {
    let channel = link.channel().await?;
    let last = table([("x-stream-offset", AMQPValue::LongString("last".into()))]);
    let mut messages = consume(&channel, stream, PART, last).await?;
    let first = timeout(TIMEOUT, messages.next()).await.map_err(|_| Failure::Late(TIMEOUT))?;
    let first = first.ok_or_else(|| Failure::NoQueue(stream.to_owned()))??;
    let mut found = Received::of(&first).map(|received| received.offset);
    // The last part is sent as a whole: by this answer all of it has come.
    limited(channel.basic_qos(PART, BasicQosOptions::default())).await?;
    while let Some(Some(message)) = messages.next().now_or_never() {
        found = found.max(Received::of(&message?).map(|received| received.offset));
    }
    limited(channel.close(200, "read".into())).await?;
    found.ok_or_else(|| Failure::NoQueue(stream.to_owned()))
}
