//! Single flight: of those who miss the same key at the same time one loads, the others get its result.
//!
//! A flight ends for newcomers when its key is invalidated ("poisoned"):
//! those who joined before get its result, those who come after start another one.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{error::LoadError, store::Listener};

/// The loads under way, by key.
#[derive(Debug)]
pub(crate) struct Flights<V>(Mutex<HashMap<String, Flight<V>>>);

type Flight<V> = Arc<Under<V>>;

/// A load under way, and the stamps that its value will bear.
#[derive(Debug)]
struct Under<V> {
    stamps: Box<[u64]>,
    state: watch::Sender<State<V>>,
}

#[derive(Clone, Debug)]
enum State<V> {
    Loading,
    Landed(Shared<V>),
    /// The leader was dropped: somebody else has to load.
    Abandoned,
}

/// A load's result, whatever its error's type.
pub(crate) type Shared<V> = Result<Option<V>, Failure>;

/// A load's error, for callers who know its type.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Failed(Arc<dyn Any + Send + Sync>),
    TimedOut(Duration),
}

impl Failure {
    pub(crate) fn of<E: Send + Sync + 'static>(error: &LoadError<E>) -> Self {
        match error {
            LoadError::Failed(error) => Self::Failed(Arc::clone(error) as Arc<dyn Any + Send + Sync>),
            LoadError::TimedOut(limit) => Self::TimedOut(*limit),
        }
    }

    /// `None` when the leader's error is of another type.
    pub(crate) fn typed<E: Send + Sync + 'static>(self) -> Option<LoadError<E>> {
        match self {
            Self::Failed(error) => error.downcast().ok().map(LoadError::Failed),
            Self::TimedOut(limit) => Some(LoadError::TimedOut(limit)),
        }
    }
}

/// What a caller is in a flight.
pub(crate) enum Seat<'a, V> {
    Leader(Leader<'a, V>),
    Follower(Follower<V>),
}

impl<V> Flights<V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the flight under way, or begins one; one with other stamps takes no newcomers any more.
    pub(crate) fn join<'a>(&'a self, key: &'a str, stamps: &[u64]) -> Seat<'a, V> {
        let mut flights = self.locked();
        if let Some(flight) = flights.get(key).filter(|flight| *flight.stamps == *stamps) {
            return Seat::Follower(Follower(flight.state.subscribe()));
        }
        let flight = Arc::new(Under { stamps: stamps.into(), state: watch::Sender::new(State::Loading) });
        flights.insert(key.to_owned(), Arc::clone(&flight));
        Seat::Leader(Leader { flights: self, key, flight })
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Send + Sync> Listener for Flights<V> {
    fn invalidated(&self, key: &str, _generation: u64) {
        self.locked().remove(key);
    }

    fn feed_lost(&self) {
        self.locked().clear();
    }
}

/// The one who loads. Dropped without landing, it leaves the load to the followers.
pub(crate) struct Leader<'a, V> {
    flights: &'a Flights<V>,
    key: &'a str,
    flight: Flight<V>,
}

impl<V> Leader<'_, V> {
    /// Gives all followers the result.
    pub(crate) fn land(self, result: Shared<V>) {
        self.leave();
        self.flight.state.send_replace(State::Landed(result));
    }

    /// Takes the flight away from newcomers, unless an invalidation already has.
    fn leave(&self) {
        let mut flights = self.flights.locked();
        if flights.get(self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(self.key);
        }
    }
}

impl<V> Drop for Leader<'_, V> {
    fn drop(&mut self) {
        self.leave();
        self.flight.state.send_if_modified(|state| {
            let loading = matches!(state, State::Loading);
            if loading {
                *state = State::Abandoned;
            }
            loading
        });
    }
}

/// One who waits for the leader.
pub(crate) struct Follower<V>(watch::Receiver<State<V>>);

impl<V: Clone> Follower<V> {
    /// The leader's result; `None` when it was dropped.
    pub(crate) async fn landed(mut self) -> Option<Shared<V>> {
        match &*self.0.wait_for(|state| !matches!(state, State::Loading)).await.ok()? {
            State::Landed(result) => Some(result.clone()),
            State::Loading | State::Abandoned => None,
        }
    }
}
