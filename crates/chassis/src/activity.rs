//! What a connection is doing and since when: the rules by which it comes to its end.
//!
//! Bytes alone are no progress: pings, or a head that arrives letter by letter, cost nothing. What counts is that a
//! request is begun, its body arrives, and its response is taken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// A client has this long from its first byte to the end of a request's head, and as long for the first one from the
/// moment it connects.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that is idle for so long is closed: longer than clients and gateways usually keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A peer that for so long neither takes a response nor sends the body that it has announced is gone.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The same where the connection is coming to its end, or others want its place.
const GRACE: Duration = Duration::from_secs(2);
/// A request that is just arriving on an idle connection when the end comes is still waited for.
const LAST_CALL: Duration = Duration::from_millis(200);
/// The same in HTTP/2, whose peers have to answer GOAWAY first.
const AFTER_GOAWAY: Duration = Duration::from_secs(1);

/// What HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection's activity; shared by its bytes, its requests, and whoever decides over its end.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<State>,
    evicted: Notify,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// A head is waited for whose first byte has come, or which is the connection's first.
    head: bool,
    /// When a head or a request last began or ended.
    since: Instant,
    /// Since when the socket has not taken what there is to write.
    blocked: Option<Instant>,
    exchanges: HashMap<u64, Progress>,
    begun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// So many bytes have come, and each is one of the preface.
    Undecided(usize),
    Http1,
    Http2,
}

/// How far one request and its response are.
#[derive(Clone, Copy, Debug)]
struct Progress {
    answer: Answer,
    /// More of the request's body is waited for.
    asking: bool,
    since: Instant,
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is none yet.
    Awaited,
    /// The peer has to take what there is.
    Given,
    /// It is a stream in which nothing happens.
    Quiet,
}

impl Progress {
    fn is_peers_turn(&self) -> bool {
        self.asking || self.answer == Answer::Given
    }

    fn is_at_work(&self) -> bool {
        !self.asking && self.answer == Answer::Awaited
    }
}

impl State {
    /// Whether the peer has kept a request or the socket waiting for so long.
    fn is_stalled(&self, limit: Duration) -> bool {
        let stalled = |progress: &Progress| progress.is_peers_turn() && progress.since.elapsed() >= limit;
        self.exchanges.values().any(stalled) || self.blocked.is_some_and(|since| since.elapsed() >= limit)
    }
}

impl Activity {
    /// A connection that has just been made.
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            protocol: Protocol::Undecided(0),
            head: true,
            since: Instant::now(),
            blocked: None,
            exchanges: HashMap::new(),
            begun: 0,
        };
        Arc::new(Self { state: Mutex::new(state), evicted: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer has begun to speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.state().protocol == Protocol::Http2
    }

    /// These bytes have come.
    pub(crate) fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        if let Protocol::Undecided(known) = state.protocol {
            let fitting = bytes.iter().zip(&PREFACE[known..]).take_while(|(byte, expected)| byte == expected).count();
            state.protocol = match known + fitting {
                n if n == PREFACE.len() => Protocol::Http2,
                n if fitting == bytes.len() => Protocol::Undecided(n),
                _ => Protocol::Http1,
            };
            if state.protocol == Protocol::Http2 {
                state.head = false;
            }
        } else if state.protocol == Protocol::Http1 && state.exchanges.is_empty() && !state.head && !bytes.is_empty() {
            state.head = true;
            state.since = Instant::now();
        }
    }

    /// The socket has taken something, or will not yet.
    pub(crate) fn wrote(&self, blocked: bool) {
        let mut state = self.state();
        if blocked {
            state.blocked.get_or_insert_with(Instant::now);
        } else if state.blocked.take().is_some() {
            state.since = Instant::now();
        }
    }

    /// Whether the peer has used up its time, so that the connection has to come to its end.
    pub(crate) fn is_overdue(&self) -> bool {
        let state = self.state();
        let limit = if state.head { HEAD_TIMEOUT } else { IDLE_TIMEOUT };
        state.is_stalled(STALL_TIMEOUT) || (state.exchanges.is_empty() && state.since.elapsed() >= limit)
    }

    /// Whether a connection that was asked to end then carries nothing any more that has to be waited for.
    pub(crate) fn is_over(&self, asked: Instant) -> bool {
        let state = self.state();
        let grace = if state.protocol == Protocol::Http2 { AFTER_GOAWAY } else { LAST_CALL };
        let within_grace = |since: Instant| since.elapsed() < GRACE;
        let open = |progress: &Progress| !progress.is_peers_turn() || within_grace(progress.since);
        let carries = state.exchanges.values().any(open) || state.blocked.is_some_and(within_grace);
        !carries && state.since.max(asked).elapsed() >= grace
    }

    /// Since when the connection could be done without; `None` where it cannot.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let waits = || state.exchanges.values().map(|progress| progress.since).chain(state.blocked);
        let busy = state.exchanges.values().any(Progress::is_at_work) || waits().any(|since| since.elapsed() < GRACE);
        (!busy).then(|| waits().fold(state.since, Instant::max))
    }

    /// Others want the place of this connection.
    pub(crate) fn evict(&self) {
        self.evicted.notify_one();
    }

    /// Waits until others want the place of this connection.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Changes what is known of an exchange, if there still is one; `change` says whether something has happened.
    fn update(&self, id: u64, change: impl FnOnce(&mut Progress) -> bool) {
        if let Some(progress) = self.state().exchanges.get_mut(&id)
            && change(progress)
        {
            progress.since = Instant::now();
        }
    }
}

/// A request from the end of its head to the end of its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    activity: Arc<Activity>,
    id: u64,
}

impl Exchange {
    /// A request has been accepted.
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        let mut state = activity.state();
        let (id, since) = (state.begun, Instant::now());
        (state.begun, state.head, state.since) = (id + 1, false, since);
        state.exchanges.insert(id, Progress { answer: Answer::Awaited, asking: false, since });
        Self { activity: Arc::clone(activity), id }
    }

    /// How far the response is.
    pub(crate) fn answers(&self, answer: Answer) {
        self.activity.update(self.id, |progress| {
            // Each part that is given was preceded by one that was taken.
            let news = progress.answer != answer || answer == Answer::Given;
            progress.answer = answer;
            news
        });
    }

    /// What the request's body tells.
    pub(crate) fn asking(&self) -> Asking {
        Asking { activity: Arc::clone(&self.activity), id: self.id }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.exchanges.remove(&self.id);
        state.since = Instant::now();
    }
}

/// Whether more of a request's body is waited for. It may outlive the exchange.
#[derive(Debug)]
pub(crate) struct Asking {
    activity: Arc<Activity>,
    id: u64,
}

impl Asking {
    /// Says it.
    pub(crate) fn set(&self, asking: bool) {
        self.activity.update(self.id, |progress| std::mem::replace(&mut progress.asking, asking) != asking);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_in_both_protocols() {
        for (bytes, limit) in [("", 10), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 10), ("PRI\r", 10), ("GET / HTTP", 10)] {
            let activity = Activity::new();
            for byte in bytes.as_bytes().chunks(1) {
                activity.received(byte);
                advance(SECOND / 10).await;
            }
            assert!(!activity.is_http2() && !activity.is_overdue(), "{bytes:?}");
            advance(limit * SECOND).await;
            assert!(activity.is_overdue(), "{bytes:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_between_two_requests_is_idle() {
        for first in [PREFACE, b"GET / HTTP/1.1\r\n\r\n"] {
            let activity = Activity::new();
            activity.received(&first[..5]);
            activity.received(&first[5..]);
            drop(Exchange::begin(&activity));
            advance(74 * SECOND).await;
            assert!(!activity.is_overdue() && activity.idle_since().is_some());
            advance(SECOND).await;
            assert!(activity.is_overdue());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_and_heads_that_do_not_end_are_no_progress() {
        let activity = Activity::new();
        activity.received(PREFACE);
        for _ in 0..76 {
            activity.received(b"\0\0\x08\x06\0\0\0\0\0ABCDEFGH");
            activity.wrote(false);
            advance(SECOND).await;
        }
        assert!(activity.is_overdue(), "HTTP/2");
        let activity = Activity::new();
        activity.received(b"GET / HTTP/1.1\r\n\r\n");
        drop(Exchange::begin(&activity));
        for _ in 0..10 {
            activity.received(b"G");
            advance(SECOND).await;
        }
        assert!(activity.is_overdue(), "HTTP/1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_keeps_us_waiting_is_given_up_and_one_that_waits_is_not() {
        let activity = Activity::new();
        let (slow, stream) = (Exchange::begin(&activity), Exchange::begin(&activity));
        stream.answers(Answer::Quiet);
        advance(100 * SECOND).await;
        assert!(!activity.is_overdue(), "the service is slow, and a stream is quiet");
        assert_eq!(activity.idle_since(), None, "the service is at work");
        slow.answers(Answer::Given);
        assert_eq!(activity.idle_since(), None, "a response is being taken");
        advance(29 * SECOND).await;
        assert!(!activity.is_overdue() && activity.idle_since().is_some());
        advance(SECOND).await;
        assert!(activity.is_overdue(), "a response that is not taken");
        drop(slow);
        assert!(!activity.is_overdue());
        stream.asking().set(true);
        advance(30 * SECOND).await;
        assert!(!activity.is_overdue(), "its body was dropped");
        let asking = stream.asking();
        asking.set(true);
        advance(30 * SECOND).await;
        assert!(activity.is_overdue(), "a body that does not come");
        asking.set(false);
        activity.wrote(true);
        advance(30 * SECOND).await;
        assert!(activity.is_overdue(), "a socket that takes nothing");
        activity.wrote(false);
        assert!(!activity.is_overdue());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_what_was_accepted() {
        let activity = Activity::new();
        let asked = Instant::now();
        assert!(!activity.is_over(asked), "a request may be arriving");
        advance(LAST_CALL).await;
        assert!(activity.is_over(asked));
        let exchange = Exchange::begin(&activity);
        advance(9 * SECOND).await;
        assert!(!activity.is_over(asked), "the service is at work");
        exchange.answers(Answer::Given);
        advance(SECOND).await;
        assert!(!activity.is_over(asked), "the response is being taken");
        advance(SECOND).await;
        assert!(activity.is_over(asked), "it is not taken");
        exchange.answers(Answer::Given);
        drop(exchange);
        assert!(!activity.is_over(asked), "another request may be arriving");
        advance(LAST_CALL).await;
        assert!(activity.is_over(asked));
    }
}
