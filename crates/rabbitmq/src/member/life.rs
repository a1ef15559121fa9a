//! The life of one partition in one member: it stands in line, has the token, gives it back, and stands in line again.

use std::sync::Arc;

use futures::StreamExt as _;
use lapin::{Consumer, message::Delivery, types::FieldTable};
use messaging::Error;
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    Shared,
    attendance::PAUSE,
    letters::{Letter, choose, read},
    reader::Reader,
};
use crate::{
    client::{Failure, Publisher, consume, limited},
    message,
    token::{Mail, Token},
};

/// Messages to the reader on their way, with the token: all that its queue may have.
const MAILS: u16 = 0;

/// Lives until the member is closed.
pub(super) async fn live(shared: Arc<Shared>, partition: u16) {
    let mut failures = 0;
    while !shared.state().closed {
        if !shared.wants(partition) {
            shared.changes[usize::from(partition)].notified().await;
            continue;
        }
        let lived = stand(&shared, partition).await;
        shared.state().lose(partition);
        match lived {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                shared.failed(error);
                sleep(PAUSE.delay(failures)).await;
            }
        }
    }
    shared.state().alive -= 1;
    shared.ended.notify_waiters();
}

/// Stands in line for the token, and reads while it has it.
async fn stand(shared: &Shared, partition: u16) -> Result<(), Error> {
    let publisher = shared.group.link.confirming().await?;
    let channel = publisher.channel.clone();
    let lived = match mailbox(shared, partition, &publisher).await {
        Ok(mut mailbox) => match first(shared, partition, &publisher, &mut mailbox).await {
            Ok(Some((token, letters))) => Reader::new(shared, partition, publisher, mailbox).run(token, letters).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    // The next in line has the token at once.
    if channel.status().connected() {
        limited(channel.close(200, "given up".into())).await?;
    }
    lived
}

async fn mailbox(shared: &Shared, partition: u16, publisher: &Publisher) -> Result<Consumer, Error> {
    match consume(&publisher.channel, &shared.group.token(partition), MAILS, FieldTable::default()).await {
        Ok(mailbox) => Ok(mailbox),
        Err(failure) if failure.is_missing() => {
            tracing::error!(
                group = shared.group.name,
                partition,
                "the queue with the group's progress is gone: the group reads the partition from its start, and the inbox sorts out what comes again"
            );
            shared.group.restore().await?;
            Err(failure.into())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Waits for the token, and for all that was said to the partition's reader before; nothing where the partition is not wanted
/// any more.
///
/// Whoever has the token says its own kinds, into its own queue. What stands there before comes before: the kinds of others,
/// and a second token, where somebody has died who was just replacing it. A reader that began without them would pass events
/// that are the group's.
async fn first(
    shared: &Shared,
    partition: u16,
    publisher: &Publisher,
    mailbox: &mut Consumer,
) -> Result<Option<((Token, Delivery), Vec<Letter>)>, Error> {
    let (mut letters, mut last): (Vec<Letter>, Option<String>) = (Vec::new(), None);
    let (queue, change) = (shared.group.token(partition), &shared.changes[usize::from(partition)]);
    loop {
        tokio::select! {
            delivery = mailbox.next() => {
                let Some(letter) = read(delivery.ok_or_else(|| Failure::NoQueue(queue.clone()))?).await? else { continue };
                let is_last = last.as_ref().is_some_and(|last| letter.is(last));
                let has_token = matches!(letter.mail, Mail::Token(_));
                letters.push(letter);
                if is_last {
                    break;
                }
                if has_token && last.is_none() {
                    let id = Uuid::now_v7().to_string();
                    let own = Mail::Kinds(shared.kinds.clone()).write()?;
                    publisher.store(&queue, &own, message::persistent(&id)).await?;
                    last = Some(id);
                }
            }
            () = change.notified() => {
                if !shared.wants(partition) {
                    return Ok(None);
                }
            }
        }
    }
    choose(letters).await.map(Some)
}
