//! Who watches, and what waits for each.

use std::collections::HashMap;

use bytes::Bytes;
use messaging::Cursor;
use tokio::sync::mpsc::Sender;

use super::{Error, Owner, UserId};

/// How many may watch at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all.
    pub open: usize,
    /// Of one account.
    pub per_account: usize,
}

/// What waits for a watcher.
#[derive(Clone, Debug)]
pub(super) enum Queued {
    Event(Bytes),
    /// Something is missing before what follows this cursor.
    Reset(Cursor),
}

/// All who watch, by whose orders they watch.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    queues: HashMap<Owner, HashMap<u64, Sender<Queued>>>,
    /// How many each account has open.
    accounts: HashMap<UserId, usize>,
    open: usize,
    joined: u64,
}

impl Watchers {
    /// Counts one more of an account.
    pub(super) fn admit(&mut self, account: UserId, limits: Limits) -> Result<(), Error> {
        if self.open >= limits.open {
            return Err(Error::StreamsUnavailable);
        }
        let of_account = self.accounts.entry(account).or_default();
        if *of_account >= limits.per_account {
            return Err(Error::TooManyStreams);
        }
        *of_account += 1;
        self.open += 1;
        Ok(())
    }

    /// Has a queue filled; returns its number.
    pub(super) fn join(&mut self, owner: Owner, queue: Sender<Queued>) -> u64 {
        self.joined += 1;
        self.queues.entry(owner).or_default().insert(self.joined, queue);
        self.joined
    }

    /// Has a queue filled no longer.
    pub(super) fn forget(&mut self, owner: Owner, number: u64) {
        if let Some(queues) = self.queues.get_mut(&owner) {
            queues.remove(&number);
            if queues.is_empty() {
                self.queues.remove(&owner);
            }
        }
    }

    /// Counts one less of an account.
    pub(super) fn leave(&mut self, account: UserId) {
        self.open -= 1;
        if let Some(of_account) = self.accounts.get_mut(&account) {
            *of_account -= 1;
            if *of_account == 0 {
                self.accounts.remove(&account);
            }
        }
    }

    /// Puts an event into each queue that it concerns. Returns how many were full: they are not filled any more.
    pub(super) fn send(&mut self, user: UserId, payload: &Bytes) -> usize {
        let concerned = [Owner::User(user), Owner::All];
        concerned
            .iter()
            .filter_map(|owner| Some(fill(self.queues.get_mut(owner)?, &Queued::Event(payload.clone()))))
            .sum()
    }

    /// Tells all that something is missing.
    pub(super) fn reset(&mut self, cursor: &Cursor) -> usize {
        self.queues.values_mut().map(|queues| fill(queues, &Queued::Reset(cursor.clone()))).sum()
    }
}

fn fill(queues: &mut HashMap<u64, Sender<Queued>>, next: &Queued) -> usize {
    let before = queues.len();
    queues.retain(|_, queue| queue.try_send(next.clone()).is_ok());
    before - queues.len()
}
