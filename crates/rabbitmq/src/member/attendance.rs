//! Who is there, and what each member's part is: members are counted by the server, and whoever has more than its share of
//! the partitions gives some up. They go to the next in line.

use std::{sync::Arc, time::Duration};

use lapin::{Channel, types::FieldTable};
use messaging::{Error, Track};
use resilience::Backoff;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use crate::client::{consume, limited, look};

/// The pauses between tries to reach the server.
pub(super) const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
/// How often the server is asked, and leases are looked at, at most.
const LEAST: Duration = Duration::from_millis(20);
/// How long members that come may take to get into line before partitions are given up for them.
const SETTLING: Duration = Duration::from_millis(500);

/// Shows that the member is there and finds out who else is, until it is closed.
pub(super) async fn attend(shared: Arc<Shared>) {
    let mut failures = 0;
    while !shared.state().closed {
        if !shared.state().is_there(shared.lease) {
            shared.attendance.notified().await;
            continue;
        }
        match presence(&shared).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                shared.failed(error);
                sleep(PAUSE.delay(failures)).await;
            }
        }
    }
}

/// Is counted as a member for as long as somebody calls it.
async fn presence(shared: &Shared) -> Result<(), Error> {
    let (names, group) = (shared.group.names(), &shared.group.name);
    let queue = match shared.track {
        Track::Stable => names.members(group),
        Track::Canary => names.canaries(group),
    };
    let channel = shared.group.link.channel().await?;
    let _counted = consume(&channel, &queue, 1, FieldTable::default()).await?;
    let asking = shared.group.link.channel().await?;
    let mut share_from = Instant::now() + SETTLING;
    while shared.state().is_there(shared.lease) {
        if count(shared, &asking, share_from <= Instant::now()).await? {
            share_from = Instant::now() + SETTLING;
        }
        let pause = (shared.lease / 10).max(LEAST);
        let _ = timeout(pause, shared.attendance.notified()).await; // either way it is time to look again
    }
    for channel in [channel, asking] {
        limited(channel.close(200, "left".into())).await?;
    }
    Ok(())
}

/// Counts members; says whether this one gave something up for others.
async fn count(shared: &Shared, channel: &Channel, may_give: bool) -> Result<bool, Error> {
    let (names, group, partitions) = (shared.group.names(), &shared.group.name, shared.group.partitions);
    let canaries = look(channel, &names.canaries(group)).await?.consumer_count();
    let members = look(channel, &names.members(group)).await?.consumer_count();
    let mut state = shared.state();
    let changed = state.canaries.replace(canaries) != Some(canaries);
    let share = usize::from(partitions).div_ceil(usize::try_from(members).unwrap_or(usize::MAX).max(1));
    let own = state.held.range_mut(..partitions).filter(|(_, partition)| !partition.given_up);
    let surplus: Vec<u16> = own.map(|(number, _)| *number).skip(share).collect();
    let gives = may_give && shared.track == Track::Stable && !surplus.is_empty();
    if gives {
        for number in &surplus {
            if let Some(partition) = state.held.get_mut(number) {
                partition.given_up = true;
            }
        }
    }
    drop(state);
    if gives || changed {
        shared.changes.iter().for_each(tokio::sync::Notify::notify_one);
    }
    Ok(gives)
}

/// Keeps leases, until the member's tasks end.
pub(super) async fn keep_time(shared: Arc<Shared>) {
    let pause = (shared.lease / 10).max(LEAST);
    let (mut last, mut was_there) = (Instant::now(), true);
    loop {
        sleep(pause).await;
        let (now, is_there) = (Instant::now(), shared.state().is_there(shared.lease));
        let mut changed = shared.state().renew(shared.lease);
        if now - last > shared.lease / 2 {
            // We slept, and cannot say what we have any more.
            let mut state = shared.state();
            state.held.values_mut().for_each(|partition| partition.given_up = true);
            changed.extend(state.held.keys());
        }
        last = now;
        for partition in changed {
            shared.changed(partition);
        }
        if std::mem::replace(&mut was_there, is_there) != is_there {
            shared.all_changed();
        }
    }
}
