//! The life of one partition in one member: it stands in line, has the token, gives it back, and stands in line again.

use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _};
use lapin::{Consumer, message::Delivery, types::FieldTable};
use messaging::Error;
use tokio::time::sleep;

use super::{
    Shared,
    attendance::PAUSE,
    letters::{Letter, choose, read},
    reader::Reader,
};
use crate::{
    client::{Failure, Publisher, consume, limited, look},
    token::{Mail, Token},
};

/// Messages to the reader on their way, with the token.
const MAILS: u16 = 64;

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

/// Waits for the token; nothing where it is not wanted any more. What else has come is kept.
async fn first(
    shared: &Shared,
    partition: u16,
    publisher: &Publisher,
    mailbox: &mut Consumer,
) -> Result<Option<((Token, Delivery), Vec<Letter>)>, Error> {
    let (mut letters, change) = (Vec::new(), &shared.changes[usize::from(partition)]);
    loop {
        tokio::select! {
            delivery = mailbox.next() => {
                let letter = read(delivery.ok_or(Failure::NoQueue(shared.group.token(partition)))?).await?;
                let has_come = letter.as_ref().is_some_and(|letter| matches!(letter.mail, Mail::Token(_)));
                letters.extend(letter);
                if has_come {
                    break;
                }
            }
            () = change.notified() => {
                if !shared.wants(partition) {
                    return Ok(None);
                }
            }
        }
    }
    // Somebody may have died who was just replacing it: then there are two, and by this answer both have come.
    look(&publisher.channel, &shared.group.token(partition)).await?;
    while let Some(Some(delivery)) = mailbox.next().now_or_never() {
        letters.extend(read(delivery).await?);
    }
    choose(letters).await.map(Some)
}
