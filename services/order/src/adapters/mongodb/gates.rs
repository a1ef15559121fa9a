//! Turns at a product's stock: the changes of one product that this process makes at once are few, the others wait, and
//! orders that are too many are refused before anything of them is stored.
//!
//! The server takes any number of changes of one document at once, but makes them one after the other, each of them
//! trying again and again; here they wait without work, first come, first served.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mongodb::bson;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::contention;
use crate::app::ports::StoreError;

/// Changes of one product at once.
const TURNS: usize = 4;
/// Orders of one product that are being placed at once, those that wait included: what a slow server serves while the
/// requests have time.
const PLACES: usize = 128;
/// How long a change waits for its turn: as long as a call of the driver may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Products that are remembered before those that nobody changes now are forgotten.
const REMEMBERED: usize = 1024;

/// The gates of all products.
#[derive(Clone, Default)]
pub(super) struct Gates(Arc<Mutex<Remembered>>);

#[derive(Default)]
struct Remembered {
    gates: HashMap<bson::Uuid, Gate>,
    /// As many as are remembered before the next time that some are forgotten.
    limit: usize,
}

/// The gate of one product.
#[derive(Clone)]
struct Gate {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A place among those who order a product, or a turn at it, until this is dropped.
pub(super) type Pass = OwnedSemaphorePermit;

impl Gates {
    /// Places among those who order these products.
    ///
    /// # Errors
    /// Too many order one of them.
    pub(super) fn enter(&self, products: &[bson::Uuid]) -> Result<Vec<Pass>, StoreError> {
        let place = |product: &bson::Uuid| self.gate(*product).places.try_acquire_owned().map_err(|_| contention());
        products.iter().map(place).collect()
    }

    /// The turn of one change. Whoever has it waits for no other, so nobody waits in a circle.
    ///
    /// # Errors
    /// It did not come in time.
    pub(super) async fn turn(&self, product: bson::Uuid) -> Result<Pass, StoreError> {
        let turn = timeout(PATIENCE, self.gate(product).turns.acquire_owned()).await;
        // Nobody closes it.
        turn.map_err(|_| contention())?.map_err(|_| contention())
    }

    fn gate(&self, product: bson::Uuid) -> Gate {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { gates, limit } = &mut *remembered;
        if gates.len() >= REMEMBERED.max(*limit) {
            gates.retain(|_, gate| gate.is_used());
            *limit = gates.len() * 2;
        }
        gates.entry(product).or_insert_with(Gate::open).clone()
    }
}

impl Gate {
    fn open() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), turns: Arc::new(Semaphore::new(TURNS)) }
    }

    /// Whether anybody has a pass or waits for one: each holds on to its semaphore.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.places) > 1 || Arc::strong_count(&self.turns) > 1
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn what_is_too_much_is_refused_and_nothing_is_remembered_for_ever() {
        let (gates, hot) = (Gates::default(), bson::Uuid::new());
        let places: Vec<_> = (0..PLACES).map(|_| gates.enter(&[hot]).unwrap()).collect();
        assert!(gates.enter(&[bson::Uuid::new(), hot]).is_err());
        let turn = gates.turn(hot).await.unwrap();
        for _ in 0..10 * REMEMBERED {
            gates.enter(&[bson::Uuid::new()]).unwrap();
        }
        assert!(gates.0.lock().unwrap().gates.len() <= REMEMBERED);
        assert!(gates.enter(&[hot]).is_err(), "it is still the same gate");
        drop((places, turn));
        gates.enter(&[hot]).unwrap();
    }

    #[tokio::test]
    async fn turns_are_few_and_of_one_product() {
        let (gates, hot) = (Gates::default(), bson::Uuid::new());
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            turns.push(gates.turn(hot).await.unwrap());
        }
        let mut next = pin!(gates.turn(hot));
        assert!(futures::poll!(next.as_mut()).is_pending());
        turns.push(gates.turn(bson::Uuid::new()).await.unwrap());
        drop(turns.remove(0));
        turns.push(next.await.unwrap());
    }
}
