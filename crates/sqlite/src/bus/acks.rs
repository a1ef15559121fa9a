//! Acknowledgements in batches: whoever holds the write lock first settles for all who came meanwhile, in one statement.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use messaging::{Error, Tag};
use sqlx::{Sqlite, SqliteExecutor};
use tokio::sync::oneshot;

/// A delivery that is done, and whom to tell when that is stored.
pub(super) struct Ack {
    tag: Tag,
    reply: oneshot::Sender<Result<(), Error>>,
}

/// The acknowledgements that wait to be written.
#[derive(Default)]
pub(super) struct Acks {
    waiting: Mutex<Vec<Ack>>,
    writing: tokio::sync::Mutex<()>,
}

/// Rows are named by sequence number and fence together: a delivery that was leased to somebody else since does not
/// match.
const DONE: &str = "DELETE FROM pending WHERE seq IN (
        SELECT p.seq FROM json_each(?1) AS d CROSS JOIN pending AS p
        WHERE p.seq = d.value ->> 0 AND p.fence = d.value ->> 1)
    RETURNING seq";

impl Acks {
    /// Takes what waits, for somebody who has a transaction open anyway.
    pub(super) fn take(&self) -> Vec<Ack> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Settles one delivery, together with all others that wait.
    pub(super) async fn settle(&self, tag: Tag, writer: impl SqliteExecutor<'_>) -> Result<(), Error> {
        let (reply, mut answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Ack { tag, reply });
        // Biased to the answer: whoever was settled by another's statement must not write an empty one.
        let writing = tokio::select! {
            biased;
            answer = &mut answer => return settled(answer),
            writing = self.writing.lock() => writing,
        };
        // Taken only now: all that queued up while the last statement ran goes into this one.
        let acks = self.take();
        if !acks.is_empty() {
            let done = write(&acks, writer).await;
            notify(acks, done);
        }
        drop(writing);
        settled(answer.await)
    }
}

/// A writer that gave up in the middle tells nobody anything: the caller tries again.
fn settled(answer: Result<Result<(), Error>, oneshot::error::RecvError>) -> Result<(), Error> {
    answer.unwrap_or_else(|error| Err(Error::bus(error)))
}

/// Removes the rows; returns those that were still the caller's.
pub(super) async fn write<'e>(
    acks: &[Ack],
    writer: impl SqliteExecutor<'e, Database = Sqlite>,
) -> Result<HashSet<i64>, sqlx::Error> {
    let tags: Vec<[i64; 2]> = acks.iter().map(|ack| [ack.tag.position, ack.tag.fence]).collect();
    let list = serde_json::to_string(&tags).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let deleted: Vec<i64> = sqlx::query_scalar(DONE).bind(list).fetch_all(writer).await?;
    Ok(deleted.into_iter().collect())
}

/// Tells everybody what became of their delivery, once it is committed.
pub(super) fn notify(acks: Vec<Ack>, done: Result<HashSet<i64>, sqlx::Error>) {
    match done {
        Ok(deleted) => {
            for ack in acks {
                let answer = if deleted.contains(&ack.tag.position) { Ok(()) } else { Err(Error::Lost) };
                drop(ack.reply.send(answer));
            }
        }
        Err(error) => {
            let text = error.to_string();
            for ack in acks {
                drop(ack.reply.send(Err(Error::bus(text.clone()))));
            }
        }
    }
}
