//! The reader of a partition: it has the token, reads the stream into the member's lanes, and writes down how far it is.

mod receiving;

use std::{collections::VecDeque, pin::Pin, time::Duration};

use futures::StreamExt as _;
use lapin::{Consumer, message::Delivery};
use messaging::{
    Error,
    partitioned::{Progress, Record, WINDOW},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::{
    Shared,
    letters::{Letter, answer, done, read},
    state::Partition,
};
use crate::{
    client::{Failure, Publisher, TIMEOUT},
    memory::Memory,
    message, stream,
    token::{Mail, Token},
};

/// Events beyond what may be in hand for which it is written down at a time that they may be.
const REACH: u64 = 256;
/// Events that wait for that, and of a partition that wait behind events that fail; the rest waits in the stream.
const WAITING: (usize, usize) = (256, 4_096);
/// How long may pass before it is written down that events were passed that are nobody's.
const UPKEEP: Duration = Duration::from_secs(1);

/// How often, and how long apart, a log that is shorter than what a group has read is asked again: a copy may be behind.
const DOUBTS: (u32, Duration) = (5, Duration::from_millis(100));

/// A token on its way to its queue.
struct Storing {
    stored: Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>,
    reach: u64,
    alone: Option<u64>,
    answers: Vec<Delivery>,
}

/// Reads one partition.
pub(super) struct Reader<'a> {
    shared: &'a Shared,
    partition: u16,
    publisher: Publisher,
    mailbox: Consumer,
    token: Token,
    /// The token in the queue that is ours, and will be replaced.
    kept: Option<((u64, u64), Delivery)>,
    /// What waits until it is written down that it may be in hand.
    waiting: VecDeque<Record<u64>>,
    memory: Memory,
    /// Where the stream is read next, and where it ended when this began.
    next: u64,
    end: u64,
    /// Below this everything may be in hand, as is written down.
    reach: u64,
    /// What its last reader was trying alone when it died.
    tried: Option<u64>,
    /// What is to be tried alone, once that is written down.
    alone: Option<u64>,
    /// Who is answered once something is written down.
    answers: Vec<Delivery>,
    changed: bool,
    written: Instant,
    storing: Option<Storing>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(shared: &'a Shared, partition: u16, publisher: Publisher, mailbox: Consumer) -> Self {
        Self {
            shared,
            partition,
            publisher,
            mailbox,
            token: Token::default(),
            kept: None,
            waiting: VecDeque::new(),
            memory: Memory::default(),
            next: 0,
            end: 0,
            reach: 0,
            tried: None,
            alone: None,
            answers: Vec::new(),
            changed: true,
            written: Instant::now(),
            storing: None,
        }
    }

    fn stream(&self) -> String {
        self.shared.group.names().events(self.partition)
    }

    /// Reads until the partition is given up, and then gives the token back.
    pub(super) async fn run(mut self, (token, delivery): (Token, Delivery), letters: Vec<Letter>) -> Result<(), Error> {
        self.kept = Some((token.order(), delivery));
        let mut records = self.begin(token).await?;
        for letter in letters {
            self.hear(letter).await?;
        }
        loop {
            let due = self.step()?;
            let leaving = self.leaving();
            if leaving && self.has_ended() {
                return self.end().await;
            }
            let room = !leaving && self.waiting.len() < WAITING.0;
            tokio::select! {
                biased;
                stored = stored(&mut self.storing) => self.stored(stored).await?,
                delivery = self.mailbox.next() => {
                    let letter = read(delivery.ok_or(Failure::NoQueue(self.shared.group.token(self.partition)))?).await?;
                    if let Some(letter) = letter {
                        self.hear(letter).await?;
                    }
                }
                delivery = records.next(), if room => {
                    let delivery = delivery.ok_or_else(|| Failure::NoQueue(self.stream()))?.map_err(Failure::from)?;
                    self.receive(&delivery)?;
                }
                () = self.shared.changes[usize::from(self.partition)].notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }

    /// Takes the partition over: compares the token with the log, and begins to read.
    async fn begin(&mut self, token: Token) -> Result<Consumer, Error> {
        self.token = Token { epoch: token.epoch + 1, version: 0, ..token };
        let mut progress = self.token.progress();
        for doubt in 0..DOUBTS.0 {
            self.end = stream::last(&self.shared.group.link, &self.stream()).await? + 1;
            if progress.mark() <= self.end {
                break;
            }
            sleep(DOUBTS.1 * doubt).await;
        }
        if progress.mark() > self.end {
            self.other_log(progress.mark());
            progress = Progress::from(0);
            self.token.before = None;
        }
        self.tried = progress.take_over();
        let mark = progress.mark();
        let known = self.token.before.as_ref().map_or(mark, |(offset, _)| *offset);
        self.next = Memory::begins(mark).min(known);
        {
            let mut state = self.shared.state();
            state.lose(self.partition);
            if self.tried.is_some() {
                state.lanes.hold_back(self.partition, Instant::now());
            }
            state.held.insert(self.partition, Partition::new(self.token.epoch, progress));
        }
        Ok(stream::read(&self.publisher.channel, &self.stream(), self.next).await?)
    }

    /// Does what can be done now; returns when the next thing is due.
    fn step(&mut self) -> Result<Instant, Error> {
        let now = Instant::now();
        let mut state = self.shared.state();
        let retry = state.retry_due(now);
        let Some(partition) = state.held.get(&self.partition) else { return Err(Error::Lost) };
        if !partition.given_up {
            let limit = self.reach.min(partition.progress.mark() + WINDOW);
            while self.waiting.front().is_some_and(|record| record.position < limit)
                && state.lanes.of_partition(self.partition) < WAITING.1
                && let Some(record) = self.waiting.pop_front()
            {
                state.lanes.push(record, now);
            }
            if let Some(tried) = self.tried
                && (self.next > tried && self.waiting.front().is_none_or(|record| record.position > tried))
            {
                state.lanes.let_through(self.partition, Some(tried), now);
                self.tried = None;
            }
            if self.storing.is_none() && self.alone.is_none() {
                self.alone = state.choose_alone(self.partition, now);
            }
        }
        drop(state);
        self.shared.fetchers.notify_waiters();
        self.store()?;
        let upkeep = if self.changed { self.written + UPKEEP } else { now + UPKEEP };
        Ok(retry.map_or(upkeep, |retry| retry.min(upkeep)).max(now + Duration::from_millis(1)))
    }

    /// Begins to write down how far the group is, where that is due and nothing is on its way.
    fn store(&mut self) -> Result<(), Error> {
        if self.storing.is_some() {
            return Ok(());
        }
        let mut state = self.shared.state();
        let Some(partition) = state.held.get_mut(&self.partition) else { return Ok(()) };
        let mark = partition.progress.mark();
        let reaches = self.waiting.front().is_none_or(|record| record.position < self.reach.min(mark + WINDOW));
        let can_reach = self.reach < mark + WINDOW;
        let due = !partition.settlements.is_empty()
            || (!reaches && can_reach)
            || self.alone.is_some()
            || !self.answers.is_empty()
            || (self.changed && self.written.elapsed() >= UPKEEP);
        if !due {
            return Ok(());
        }
        let mut reach = self.reach;
        if !reaches && can_reach {
            let to = self.waiting.back().map_or(self.next, |record| record.position + 1);
            reach = (to + REACH).min(mark + WINDOW);
            partition.progress.reach(reach);
        }
        partition.storing = std::mem::take(&mut partition.settlements);
        self.token.note(&partition.progress);
        drop(state);
        self.memory.forget_before(mark);
        self.write(reach)
    }

    /// Sends the token to its queue.
    fn write(&mut self, reach: u64) -> Result<(), Error> {
        // Only a later one takes its place: the one that the last reader left has to be compared with first.
        if let Some(read) = self.memory.before(self.token.mark)
            && self.token.before.as_ref().is_none_or(|known| known.0 < read.0)
        {
            self.token.before = Some(read.clone());
        }
        self.token.version += 1;
        let (queue, body) = (self.shared.group.token(self.partition), Mail::Token(self.token.clone()).write()?);
        let publisher = self.publisher.clone();
        let properties = message::persistent(&Uuid::now_v7().to_string());
        let stored = Box::pin(async move { publisher.store(&queue, &body, properties).await });
        let (alone, answers) = (self.alone, std::mem::take(&mut self.answers));
        self.storing = Some(Storing { stored, reach, alone, answers });
        (self.changed, self.written) = (false, Instant::now());
        Ok(())
    }

    async fn stored(&mut self, (stored, storing): (Result<(), Failure>, Storing)) -> Result<(), Error> {
        stored?;
        {
            let mut state = self.shared.state();
            state.stored(self.partition);
            if let Some(position) = storing.alone {
                state.try_alone(self.partition, position);
                self.alone = None;
            }
        }
        self.reach = storing.reach;
        for asked in storing.answers {
            answer(&self.publisher.channel, &asked, 0).await?;
        }
        if self.shared.state().lanes.next_alone(Instant::now()).is_some() {
            self.shared.all_changed();
        }
        Ok(())
    }

    /// Takes a message of the queue.
    async fn hear(&mut self, Letter { mail, delivery }: Letter) -> Result<(), Error> {
        match mail {
            Mail::Token(token) if token.epoch == self.token.epoch => {
                // What we wrote has come to us: it takes the place of the one before.
                if let Some((_, before)) = self.kept.replace((token.order(), delivery)) {
                    done(&before).await?;
                }
                Ok(())
            }
            Mail::Token(token) if token.order() > self.token.order() => {
                Err(Error::bus("somebody else has read this partition meanwhile"))
            }
            Mail::Token(_) => Ok(done(&delivery).await?),
            Mail::Kinds(kinds) if kinds.is_subset(&self.token.kinds) => {
                answer(&self.publisher.channel, &delivery, 0).await
            }
            Mail::Kinds(kinds) => {
                self.token.kinds.extend(kinds);
                self.answers.push(delivery);
                Ok(())
            }
            Mail::Settled => {
                let settled = self.shared.state().held.get(&self.partition).map(Partition::settled);
                match settled {
                    Some(settled) => answer(&self.publisher.channel, &delivery, settled).await,
                    None => Ok(done(&delivery).await?),
                }
            }
        }
    }

    /// Whether somebody else is to have the partition.
    fn leaving(&mut self) -> bool {
        let wanted = self.shared.wants(self.partition);
        let mut state = self.shared.state();
        let Some(partition) = state.held.get_mut(&self.partition) else { return true };
        partition.given_up |= !wanted;
        partition.given_up
    }

    /// Whether nothing is in hand any more and nothing on its way.
    fn has_ended(&mut self) -> bool {
        self.waiting.clear();
        !self.shared.state().retire(self.partition) && self.storing.is_none() && self.answers.is_empty()
    }

    /// Writes down that nothing is in hand, where that is so, and leaves that token alone in the queue.
    async fn end(mut self) -> Result<(), Error> {
        {
            let mut state = self.shared.state();
            let Some(partition) = state.held.get_mut(&self.partition) else { return Ok(()) };
            if partition.out.is_empty() {
                partition.progress.give_back();
            }
            self.token.note(&partition.progress);
        }
        self.write(0)?;
        if let Some(storing) = self.storing.take() {
            storing.stored.await?;
        }
        let last = self.token.order();
        while self.kept.as_ref().is_none_or(|(order, _)| *order < last) {
            let Ok(Some(delivery)) = timeout(TIMEOUT, self.mailbox.next()).await else { break };
            if let Some(letter) = read(delivery).await? {
                self.hear(letter).await?;
            }
        }
        Ok(())
    }
}

/// Waits for what is on its way; for ever where nothing is.
async fn stored(storing: &mut Option<Storing>) -> (Result<(), Failure>, Storing) {
    let result = match storing {
        Some(storing) => storing.stored.as_mut().await,
        None => futures::future::pending().await,
    };
    match storing.take() {
        Some(storing) => (result, storing),
        None => futures::future::pending().await,
    }
}
