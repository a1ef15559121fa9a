//! Whether all adds up afterwards: each accepted order is confirmed, and each confirmed one was counted once.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use e2e::{Account, customers::Customer};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::system::System;

/// What is under way may take so long.
const SETTLES: Duration = Duration::from_secs(90);
/// So long is an order repeated that was under way when its customer went home.
const FINISHES: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What was found in the end.
#[derive(Debug)]
pub(crate) struct Books {
    /// Orders that were accepted.
    pub(crate) orders: usize,
    /// Orders that were accepted and are not confirmed, and confirmed ones that user has not counted.
    pub(crate) lost: u64,
    /// Orders that user has counted more than once.
    pub(crate) doubled: u64,
    pub(crate) dead_letters: usize,
    /// What `trireme verify` finds wrong; empty where nothing is.
    pub(crate) wrong: String,
}

/// A customer's side of them.
struct Side {
    account: Account,
    accepted: u64,
    unconfirmed: BTreeSet<String>,
    counted: u64,
}

impl Books {
    /// Has each customer finish the last order, and waits until all adds up.
    pub(crate) async fn settled(system: &System, customers: Vec<Customer>) -> Result<Self> {
        let mut sides = join_all(customers.into_iter().map(Side::of)).await;
        let deadline = Instant::now() + SETTLES;
        loop {
            join_all(sides.iter_mut().map(|side| side.read(system))).await;
            let books = Self::add_up(system, &sides)?;
            if books.are_exact() || Instant::now() > deadline {
                return Ok(books);
            }
            sleep(LOOK).await;
        }
    }

    fn add_up(system: &System, sides: &[Side]) -> Result<Self> {
        let (mut lost, mut doubled, mut orders) = (0, 0, 0);
        for side in sides {
            let confirmed = side.accepted - side.unconfirmed.len() as u64;
            lost += side.unconfirmed.len() as u64 + confirmed.saturating_sub(side.counted);
            doubled += side.counted.saturating_sub(confirmed);
            orders += usize::try_from(side.accepted)?;
        }
        let wrong = match system.cluster.tool(&["verify"]) {
            Ok(_) => String::new(),
            Err(error) => failing(&format!("{error:#}")),
        };
        let dead = system.cluster.tool(&["dlq", "list", "--json"]);
        let dead_letters = dead.map_or(usize::MAX, |lines| lines.lines().count());
        Ok(Self { orders, lost, doubled, dead_letters, wrong })
    }

    fn are_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.dead_letters == 0 && self.wrong.is_empty()
    }

    pub(crate) fn said(&self) -> String {
        let mut said = Vec::new();
        if !self.wrong.is_empty() {
            said.push(self.wrong.clone());
        }
        match self.dead_letters {
            0 => {}
            usize::MAX => said.push("the dead letters cannot be read".to_owned()),
            many => said.push(format!("{many} dead letters")),
        }
        if said.is_empty() { "exact".to_owned() } else { format!("**{}**", said.join("; ")) }
    }
}

/// What does not hold of a table of `trireme verify`, or why there is none.
fn failing(table: &str) -> String {
    let failing: Vec<_> = table.lines().filter_map(|line| line.trim().strip_prefix('✗')).map(words).collect();
    if failing.is_empty() { words(table) } else { failing.join("; ") }
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', " ")
}

impl Side {
    async fn of(mut customer: Customer) -> Self {
        let before = customer.accepted().len();
        let finish = async {
            while customer.accepted().len() == before {
                customer.place().await;
                sleep(LOOK).await;
            }
        };
        let _ = timeout(FINISHES, finish).await; // what is not accepted is not counted either
        customer.log_in().await;
        let unconfirmed: BTreeSet<String> = customer.accepted().iter().cloned().collect();
        let (account, accepted) = (customer.account().clone(), unconfirmed.len() as u64);
        Self { account, accepted, unconfirmed, counted: 0 }
    }

    /// Looks again at what was not as it should be.
    async fn read(&mut self, system: &System) {
        for id in self.unconfirmed.clone() {
            let path = format!("order:/v1/orders/{id}");
            let answer = system.api.get(&path, &self.account).await;
            if answer.is_ok_and(|answer| answer.text("status") == "confirmed") {
                self.unconfirmed.remove(&id);
            }
        }
        if let Ok(answer) = system.api.get("user:/v1/users/me", &self.account).await {
            self.counted = answer.body["orders_placed"].as_u64().unwrap_or(self.counted);
        }
    }
}
