//! Single flight: of those who miss the same key at the same time one loads, the others get its result.
//!
//! A flight takes no newcomers once its key is invalidated: those who joined before get its result, those who come
//! after start another one.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{error::LoadError, store::Listener};

/// The loads in progress that newcomers may join, by key.
#[derive(Debug)]
pub(crate) struct Flights<V>(Mutex<HashMap<String, Arc<Flight<V>>>>);

/// A load in progress, and the tag stamps that its value will have.
#[derive(Debug)]
struct Flight<V> {
    stamps: Box<[u64]>,
    state: watch::Sender<State<V>>,
}

#[derive(Clone, Debug)]
enum State<V> {
    Loading,
    Completed(FlightResult<V>),
    /// The leader was dropped: somebody else has to load.
    Abandoned,
}

/// A load's result, whatever its error's type.
pub(crate) type FlightResult<V> = Result<Option<V>, ErasedError>;

/// A [`LoadError`] without its type: callers with several error types may share a flight.
#[derive(Clone, Debug)]
pub(crate) enum ErasedError {
    Failed(Arc<dyn Any + Send + Sync>),
    TimedOut(Duration),
}

impl ErasedError {
    pub(crate) fn new<E: Send + Sync + 'static>(error: &LoadError<E>) -> Self {
        match error {
            LoadError::Failed(error) => Self::Failed(Arc::clone(error) as Arc<dyn Any + Send + Sync>),
            LoadError::TimedOut(limit) => Self::TimedOut(*limit),
        }
    }

    /// `None` when the leader's error is of another type.
    pub(crate) fn downcast<E: Send + Sync + 'static>(self) -> Option<LoadError<E>> {
        match self {
            Self::Failed(error) => error.downcast().ok().map(LoadError::Failed),
            Self::TimedOut(limit) => Some(LoadError::TimedOut(limit)),
        }
    }
}

/// What a caller does in a flight.
pub(crate) enum Role<'a, V> {
    /// Loads.
    Leader(Leader<'a, V>),
    /// Waits for the leader.
    Follower(Follower<V>),
}

impl<V> Flights<V> {
    pub(crate) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Joins the flight of the key, or starts one; a flight with other stamps takes no newcomers any more.
    pub(crate) fn join<'a>(&'a self, key: &'a str, stamps: &[u64]) -> Role<'a, V> {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(key).filter(|flight| *flight.stamps == *stamps) {
            return Role::Follower(Follower(flight.state.subscribe()));
        }
        let flight = Arc::new(Flight { stamps: stamps.into(), state: watch::Sender::new(State::Loading) });
        flights.insert(key.to_owned(), Arc::clone(&flight));
        Role::Leader(Leader { flights: self, key, flight })
    }

    /// Lets the key's flight take no newcomers.
    pub(crate) fn close(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Flight<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Send + Sync> Listener for Flights<V> {
    fn on_invalidated(&self, key: &str, _generation: u64) {
        self.close(key);
    }

    fn on_notifications_lost(&self) {
        self.lock().clear();
    }
}

/// The one who loads. Dropped before it has completed, it leaves the load to the followers.
pub(crate) struct Leader<'a, V> {
    flights: &'a Flights<V>,
    key: &'a str,
    flight: Arc<Flight<V>>,
}

impl<V> Leader<'_, V> {
    /// Gives all followers the result.
    pub(crate) fn complete(self, result: FlightResult<V>) {
        self.close();
        self.flight.state.send_replace(State::Completed(result));
    }

    /// Lets the flight take no newcomers. The key may have another flight by now, after an invalidation.
    fn close(&self) {
        let mut flights = self.flights.lock();
        if flights.get(self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(self.key);
        }
    }
}

impl<V> Drop for Leader<'_, V> {
    fn drop(&mut self) {
        self.close();
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
    pub(crate) async fn completed(mut self) -> Option<FlightResult<V>> {
        match &*self.0.wait_for(|state| !matches!(state, State::Loading)).await.ok()? {
            State::Completed(result) => Some(result.clone()),
            State::Loading | State::Abandoned => None,
        }
    }
}
