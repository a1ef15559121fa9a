//! Goes through what the services have, record by record, and looks again at what differs: it may be under way.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    join::join,
    records::{compare_account, compare_order},
    report::Check,
    services::Services,
};

/// Between two looks at what differs.
const PAUSE: Duration = Duration::from_secs(1);

/// So many that differ are looked at again; more are counted.
const MAX_SUSPECTS: usize = 1_000;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// An order and its payment.
    Order(Uuid),
    /// An account and its orders.
    Account(Uuid),
}

/// What differs, and in what.
#[derive(Debug, Default)]
struct Suspects {
    found: BTreeMap<Subject, Vec<String>>,
    /// Those that there was no space for.
    more: BTreeMap<&'static str, usize>,
}

impl Suspects {
    fn note(&mut self, subject: Subject, differences: Vec<String>) {
        if differences.is_empty() {
            self.found.remove(&subject);
        } else if self.found.len() < MAX_SUSPECTS || self.found.contains_key(&subject) {
            self.found.insert(subject, differences);
        } else {
            *self.more.entry(subject.name()).or_default() += 1;
        }
    }

    /// A line for each difference of the subjects of one name.
    fn lines(&self, name: &'static str) -> Vec<String> {
        let of_name = self.found.iter().filter(|(subject, _)| subject.name() == name);
        let lines = of_name.flat_map(|(subject, differences)| {
            differences.iter().map(move |difference| format!("{name} {} {difference}", subject.id()))
        });
        let more = self.more.get(name).map(|more| format!("{more} more {name}s differ"));
        lines.chain(more).collect()
    }
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Order(_) => "order",
            Self::Account(_) => "account",
        }
    }

    fn id(self) -> Uuid {
        match self {
            Self::Order(id) | Self::Account(id) => id,
        }
    }
}

/// Compares orders with payments, charges with payments, and accounts with orders; what differs is looked at again, at
/// least once and until `deadline`.
pub(super) async fn walk(services: &Services, deadline: Instant) -> Result<[Check; 3]> {
    let (mut suspects, figures) = differences(services).await?;
    let (charges, unknown) = unknown_charges(services).await?;
    while !suspects.found.is_empty() {
        sleep(PAUSE).await;
        for subject in suspects.found.keys().copied().collect::<Vec<_>>() {
            let differences = look_again(services, subject).await?;
            suspects.note(subject, differences);
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    let [orders, payments, accounts] = figures;
    let detail = format!("{orders} orders, {payments} payments");
    Ok([
        Check::of("order, payment, ledger and provider agree on each order", suspects.lines("order"), detail),
        Check::of("no charge is of an order that nobody has", unknown, format!("pages of charges: {charges}")),
        Check::of("each account agrees with its orders", suspects.lines("account"), format!("{accounts} accounts")),
    ])
}

/// What differs at first sight; and how many orders, payments and accounts there are.
async fn differences(services: &Services) -> Result<(Suspects, [u64; 3])> {
    let mut suspects = Suspects::default();
    let [mut orders, mut payments, mut accounts] = [0; 3];
    let left = async |after| services.orders(after).await;
    let right = async |after| services.payments(after).await;
    join(left, right, |id, order, payment| {
        orders += u64::from(order.is_some());
        payments += u64::from(payment.as_ref().is_some_and(|payment| payment.payment.is_some()));
        suspects.note(Subject::Order(id), compare_order(order.as_ref(), payment.as_ref()));
    })
    .await?;
    let left = async |after| services.accounts(after).await;
    let right = async |after| services.customers(after).await;
    join(left, right, |id, account, customer| {
        accounts += u64::from(account.is_some());
        suspects.note(Subject::Account(id), compare_account(account.as_ref(), customer.as_ref()));
    })
    .await?;
    Ok((suspects, [orders, payments, accounts]))
}

/// The pages of charges, and those that are of no order. They need no second look: a payment is stored before it has any.
async fn unknown_charges(services: &Services) -> Result<(u64, Vec<String>)> {
    let (mut pages, mut unknown, mut after) = (0, Vec::new(), String::new());
    loop {
        let page = services.charges(after).await?;
        unknown.extend(page.unknown.iter().map(|charge| {
            let (reference, state) = (&charge.reference, &charge.state);
            let amount = charge.amount.as_ref().map(|amount| format!("{} {}", amount.amount, amount.currency));
            let amount = amount.unwrap_or_else(|| "an amount that is not known".to_owned());
            format!(
                "order {} has charge {reference} of {amount}, {state}, and payment does not have it",
                charge.order_id
            )
        }));
        if page.last.is_empty() {
            return Ok((pages, unknown));
        }
        (pages, after) = (pages + 1, page.last);
    }
}

async fn look_again(services: &Services, subject: Subject) -> Result<Vec<String>> {
    // The page after the id before it begins with it, where it is there.
    let before = subject.id().as_u128().checked_sub(1).map(Uuid::from_u128);
    Ok(match subject {
        Subject::Order(id) => {
            let order = first(id, services.orders(before).await?);
            compare_order(order.as_ref(), first(id, services.payments(before).await?).as_ref())
        }
        Subject::Account(id) => {
            let account = first(id, services.accounts(before).await?);
            match (account, first(id, services.customers(before).await?)) {
                (None, None) => Vec::new(),
                (account, customer) => compare_account(account.as_ref(), customer.as_ref()),
            }
        }
    })
}

fn first<T>(id: Uuid, page: Vec<(Uuid, T)>) -> Option<T> {
    page.into_iter().next().filter(|(first, _)| *first == id).map(|(_, item)| item)
}
