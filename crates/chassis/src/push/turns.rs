//! What comes until a time is over, with heartbeats in between.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a client that is told nothing else is shown that it is not forgotten. Gateways close what is silent for 11 s.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(8);

/// What is next. Nothing comes after [`Turn::Over`] and [`Turn::Expired`], and neither comes where the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<T> {
    /// This has come.
    Event(T),
    /// Nothing has come for a while.
    Heartbeat,
    /// Nothing will come any more.
    Over,
    /// The time is over.
    Expired,
}

pub(super) fn turns<T>(
    stop: CancellationToken,
    time: Duration,
    events: impl Stream<Item = T> + Send + 'static,
) -> impl Stream<Item = Turn<T>> {
    let ends = Instant::now() + time;
    stream::unfold(Some(Box::pin(events)), move |events| {
        let stop = stop.clone();
        async move {
            let mut events = events?;
            Some(tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep_until(ends) => (Turn::Expired, None),
                event = events.next() => match event {
                    Some(event) => (Turn::Event(event), Some(events)),
                    None => (Turn::Over, None),
                },
                () = sleep(HEARTBEAT) => (Turn::Heartbeat, Some(events)),
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::stream::{iter, pending};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_what_comes_with_its_time_or_with_the_process() {
        let begin = |time, events| Box::pin(turns(CancellationToken::new(), Duration::from_secs(time), events));
        let mut short = begin(9, iter([1]).boxed());
        assert_eq!(
            [short.next().await, short.next().await, short.next().await],
            [Some(Turn::Event(1)), Some(Turn::Over), None]
        );
        let mut long = begin(9, iter([1]).chain(pending()).boxed());
        let turns: Vec<_> = long.by_ref().collect().await;
        assert_eq!(turns, [Turn::Event(1), Turn::Heartbeat, Turn::Expired]);
    }

    #[tokio::test]
    async fn nothing_more_is_said_where_the_process_ends() {
        let stop = CancellationToken::new();
        let mut stopped = Box::pin(turns(stop.clone(), Duration::from_mins(1), pending::<()>()));
        stop.cancel();
        assert_eq!(stopped.next().await, None);
    }
}
