//! What is in the queue of a partition, as its reader gets and answers it.

use lapin::{
    Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions},
};
use messaging::Error;

use crate::{
    client::{Failure, limited},
    group::answered,
    token::{Mail, Token},
};

/// What a partition's queue has sent.
pub(super) struct Letter {
    pub(super) mail: Mail,
    pub(super) delivery: Delivery,
}

impl Letter {
    /// Whether it was sent under this id.
    pub(super) fn is(&self, id: &str) -> bool {
        self.delivery.properties.message_id().as_ref().is_some_and(|own| own.as_str() == id)
    }
}

/// The highest of the tokens; the others are thrown away.
pub(super) async fn choose(letters: Vec<Letter>) -> Result<((Token, Delivery), Vec<Letter>), Error> {
    let (mut found, mut others): (Option<(Token, Delivery)>, Vec<Letter>) = (None, Vec::new());
    for Letter { mail, delivery } in letters {
        let Mail::Token(token) = mail else {
            others.push(Letter { mail, delivery });
            continue;
        };
        let is_higher = found.as_ref().is_none_or(|(found, _)| found.order() < token.order());
        let lower = if is_higher { found.replace((token, delivery)).map(|(_, lower)| lower) } else { Some(delivery) };
        if let Some(lower) = lower {
            done(&lower).await?;
        }
    }
    Ok((found.ok_or_else(|| Error::bus("no token"))?, others))
}

/// Reads a message of a partition's queue; what is none of ours is thrown away.
pub(super) async fn read(delivery: lapin::Result<Delivery>) -> Result<Option<Letter>, Error> {
    let delivery = delivery.map_err(Failure::from)?;
    if let Some(mail) = Mail::read(&delivery.data) {
        return Ok(Some(Letter { mail, delivery }));
    }
    tracing::error!("a message in the queue of a partition is none of ours: it is thrown away");
    done(&delivery).await?;
    Ok(None)
}

/// Takes a message out of its queue.
pub(super) async fn done(delivery: &Delivery) -> Result<(), Failure> {
    limited(delivery.acker.ack(BasicAckOptions::default())).await.map(drop)
}

/// Answers whoever has asked, and takes the question out of the queue.
pub(super) async fn answer(channel: &Channel, asked: &Delivery, settled: u64) -> Result<(), Error> {
    if let Some((to, said)) = answered(&asked.properties, settled) {
        let options = BasicPublishOptions::default();
        drop(limited(channel.basic_publish("".into(), to.as_str().into(), options, b"", said)).await?);
    }
    Ok(done(asked).await?)
}
