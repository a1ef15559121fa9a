//! Who may hash now, who waits, and who is refused: in turns among the addresses that ask (fair queueing, J. Nagle,
//! RFC 970), so that whoever asks often waits for itself.

use std::{
    collections::VecDeque,
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Permits to hash, and those who wait for one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

struct State {
    /// Permits that nobody has.
    free: usize,
    /// The most who may wait.
    most: usize,
    /// Those who wait; the first lane's turn is next.
    lanes: VecDeque<Lane>,
}

/// Those who wait of one address, and of all whose address is not known.
struct Lane {
    client: Option<IpAddr>,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// Leave to hash, until it is dropped.
pub(super) struct Permit(Queue);

/// As many wait as may, and nobody has more of them than the one who asks.
#[derive(Debug)]
pub(super) struct Full;

impl Queue {
    /// So many permits, for which so many may wait.
    pub(super) fn new(permits: usize, most: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: permits, most, lanes: VecDeque::new() })))
    }

    /// Waits for a permit. Where the queue is full, the last of the address that has most in it goes instead, if that
    /// is another's.
    ///
    /// Cancel safe: who goes away leaves the queue.
    pub(super) async fn enter(&self, client: Option<IpAddr>) -> Result<Permit, Full> {
        let (sender, permit) = oneshot::channel();
        {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Permit(self.clone()));
            }
            state.make_room(client)?;
            match state.lanes.iter_mut().find(|lane| lane.client == client) {
                Some(lane) => lane.waiting.push_back(sender),
                None => state.lanes.push_back(Lane { client, waiting: VecDeque::from([sender]) }),
            }
        }
        // Its sender is dropped where another address took the place.
        permit.await.map_err(|_| Full)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make_room(&mut self, client: Option<IpAddr>) -> Result<(), Full> {
        let len = |state: &Self| state.lanes.iter().map(|lane| lane.waiting.len()).sum::<usize>();
        if len(self) < self.most {
            return Ok(());
        }
        for lane in &mut self.lanes {
            lane.waiting.retain(|waiting| !waiting.is_closed());
        }
        self.lanes.retain(|lane| !lane.waiting.is_empty());
        if len(self) < self.most {
            return Ok(());
        }
        let own = self.lanes.iter().find(|lane| lane.client == client).map_or(0, |lane| lane.waiting.len());
        let longest = self.lanes.iter_mut().max_by_key(|lane| lane.waiting.len()).ok_or(Full)?;
        // Not for the same length: they would take each other's place for ever.
        if longest.waiting.len() <= own + 1 {
            return Err(Full);
        }
        longest.waiting.pop_back();
        Ok(())
    }

    /// The one whose turn it is; its lane goes to the end.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        while let Some(mut lane) = self.lanes.pop_front() {
            let next = lane.waiting.pop_front();
            if !lane.waiting.is_empty() {
                self.lanes.push_back(lane);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.state();
        while let Some(next) = state.next() {
            match next.send(Self(self.0.clone())) {
                Ok(()) => return,
                // Gone meanwhile. Dropped, this permit would come here again.
                Err(permit) => mem::forget(permit),
            }
        }
        state.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;

    type Waiting = BoxFuture<'static, Result<Permit, Full>>;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Those who enter, each having been asked once.
    fn enter(queue: &Queue, clients: &[u8]) -> Vec<(u8, Waiting)> {
        let enter = |client: u8| {
            let queue = queue.clone();
            let mut waiting: Waiting = Box::pin(async move { queue.enter(Some(address(client))).await });
            match waiting.as_mut().now_or_never() {
                Some(entered) => (client, std::future::ready(entered).boxed()),
                None => (client, waiting),
            }
        };
        clients.iter().map(|client| enter(*client)).collect()
    }

    /// Who is given the permit, one after the other; the rest is refused or still waits.
    fn served(mut waiting: Vec<(u8, Waiting)>, first: Permit) -> Vec<u8> {
        let (mut order, mut permit) = (Vec::new(), Some(first));
        while let Some(current) = permit.take() {
            drop(current);
            waiting.retain_mut(|(client, entered)| match entered.now_or_never() {
                Some(Ok(next)) => {
                    order.push(*client);
                    permit = Some(next);
                    false
                }
                Some(Err(Full)) => false,
                None => true,
            });
        }
        order
    }

    #[test]
    fn addresses_have_their_turns() {
        let queue = Queue::new(1, 64);
        let first = queue.enter(None).now_or_never().unwrap().ok().unwrap();
        let waiting = enter(&queue, &[1, 1, 1, 1, 2, 3, 2]);
        assert_eq!(served(waiting, first), [1, 2, 3, 1, 2, 1, 1]);
        assert_eq!(queue.state().free, 1);
    }

    #[test]
    fn whoever_has_most_in_a_full_queue_makes_room() {
        let queue = Queue::new(1, 4);
        let first = queue.enter(None).now_or_never().unwrap().ok().unwrap();
        let waiting = enter(&queue, &[1, 1, 1, 1, 1, 2, 2, 2, 3]);
        // The fifth of 1 is refused, two give way to 2, whose third is refused, and one of 1 or 2 to 3.
        let mut order = served(waiting, first);
        order.sort_unstable();
        assert_eq!(order.len(), 4);
        assert!(order.ends_with(&[3]) && order.starts_with(&[1]), "{order:?}");
    }

    #[test]
    fn who_goes_away_takes_no_place_and_no_permit() {
        let queue = Queue::new(1, 2);
        let first = queue.enter(None).now_or_never().unwrap().ok().unwrap();
        drop(enter(&queue, &[1, 1]));
        let waiting = enter(&queue, &[1, 1]);
        assert_eq!(served(waiting, first), [1, 1]);
        let permit = queue.enter(None).now_or_never().unwrap().ok().unwrap();
        drop(enter(&queue, &[1]));
        drop(permit);
        assert_eq!(queue.state().free, 1);
    }
}
