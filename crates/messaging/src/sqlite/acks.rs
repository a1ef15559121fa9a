//! Acknowledgements in groups: whoever comes first settles for all who came meanwhile, in one statement.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sqlx::{Sqlite, SqliteExecutor};
use tokio::sync::oneshot;

use crate::{Error, Tag};

/// A delivery that is done, and who wants to know.
pub(super) struct Ack {
    tag: Tag,
    told: oneshot::Sender<Result<(), Error>>,
}

/// The acknowledgements that wait for their turn to be written.
#[derive(Default)]
pub(super) struct Acks {
    waiting: Mutex<Vec<Ack>>,
    turn: tokio::sync::Mutex<()>,
}

/// Rows are named by place and fence together: a delivery that was taken over does not match.
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
        let (told, mut answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Ack { tag, told });
        let turn = tokio::select! {
            biased;
            answer = &mut answer => return heard(answer),
            turn = self.turn.lock() => turn,
        };
        let acks = self.take();
        if !acks.is_empty() {
            let done = write(&acks, writer).await;
            tell(acks, done);
        }
        drop(turn);
        heard(answer.await)
    }
}

/// A writer that gave up in the middle tells nobody anything: the caller tries again.
fn heard(answer: Result<Result<(), Error>, oneshot::error::RecvError>) -> Result<(), Error> {
    answer.unwrap_or_else(|error| Err(Error::bus(error)))
}

/// Removes the rows; returns those that were still the caller's.
pub(super) async fn write<'e>(
    acks: &[Ack],
    writer: impl SqliteExecutor<'e, Database = Sqlite>,
) -> Result<HashSet<i64>, sqlx::Error> {
    let tags: Vec<[i64; 2]> = acks.iter().map(|ack| [ack.tag.position, ack.tag.fence]).collect();
    let list = serde_json::to_string(&tags).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let gone: Vec<i64> = sqlx::query_scalar(DONE).bind(list).fetch_all(writer).await?;
    Ok(gone.into_iter().collect())
}

/// Tells everybody what became of their delivery, once it is committed.
pub(super) fn tell(acks: Vec<Ack>, done: Result<HashSet<i64>, sqlx::Error>) {
    match done {
        Ok(gone) => {
            for ack in acks {
                let answer = if gone.contains(&ack.tag.position) { Ok(()) } else { Err(Error::Lost) };
                drop(ack.told.send(answer));
            }
        }
        Err(error) => {
            let text = error.to_string();
            for ack in acks {
                drop(ack.told.send(Err(Error::bus(text.clone()))));
            }
        }
    }
}
