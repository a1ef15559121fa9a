//! What an order leaves, table by table.

use anyhow::Result;
use e2e::Cluster;
use servers::Server;

use crate::store::Store;

/// How long the rows stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    ForGood,
    TooOld,
}

/// A table that an order leaves a row in.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) stay: Stay,
    /// Which rows are copied.
    pub(crate) template: &'static str,
    /// The column that numbers the rows in the order that they come in, and by which they are pruned.
    pub(crate) numbered: Option<&'static str>,
    /// Columns that differ from row to row, with what they have, `n.i` being the row's number; others are copied.
    pub(crate) columns: Vec<(&'static str, String)>,
    /// How many rows are never pruned, or come from what runs meanwhile.
    pub(crate) kept: i64,
    /// How many of them an order leaves, or who logs in to place one.
    pub(crate) of_order: f64,
}

/// How values are written.
struct Dialect {
    /// 16 bytes without order, by the row's number and a salt.
    id: fn(u32) -> String,
    /// 32 bytes.
    hash: &'static str,
    /// So many seconds ago.
    ago: fn(&str) -> String,
}

const SQLITE: Dialect = Dialect {
    // Knuth's multiplicative hashing (The Art of Computer Programming, volume 3, 6.4).
    id: |salt| format!("unhex(printf('%08x%08x%016x', n.i * 2654435761 % 4294967296, {salt}, n.i))"),
    hash: "unhex(printf('%08x%056x', n.i * 2654435761 % 4294967296, n.i))",
    ago: |seconds| format!("(CAST(strftime('%s', 'now') AS INTEGER) - ({seconds})) * 1000000"),
};

const POSTGRES: Dialect = Dialect {
    id: |salt| format!("md5(n.i || '-{salt}')::uuid"),
    hash: "sha256(n.i::text::bytea)",
    ago: |seconds| format!("now() - ({seconds}) * interval '1 second'"),
};

/// The number of the first row that is planted, for there may be some already.
pub(crate) const FIRST: i64 = 1_000;
/// Anywhere in the week.
const IN_THE_WEEK: &str = "n.i * 7919 % 604800";
/// Older than anything is kept that is pruned.
const LONG_AGO: &str = "864000 + n.i % 1000";
/// What comes by itself while it is looked at.
const NEWS: i64 = 5_000;
/// Of an order that is placed and paid, and its mail.
const EVENTS: f64 = 4.0;
/// The newest receipts stay in SQLite, however old they are.
const NEWEST: i64 = 10_000;

fn table(name: &'static str, stay: Stay, kept: i64, columns: Vec<(&'static str, String)>) -> Table {
    Table { name, stay, template: "LIMIT 1", numbered: None, columns, kept, of_order: 1.0 }
}

/// One whose rows are numbered, the planted ones before those that came when the services had started.
fn numbered(column: &'static str, table: Table) -> Table {
    let columns = [table.columns, vec![(column, format!("n.i + {FIRST}"))]].concat();
    Table { numbered: Some(column), columns, ..table }
}

/// What payment and its ledger have of each order.
fn money(d: &Dialect) -> [Table; 3] {
    let (order, week) = ((d.id)(1), (d.ago)(IN_THE_WEEK));
    [
        table(
            "payments",
            Stay::ForGood,
            0,
            vec![
                ("order_id", order.clone()),
                ("id", (d.id)(2)),
                ("user_id", (d.id)(3)),
                ("reference", "'week-' || n.i".to_owned()),
                ("created_at", week.clone()),
                ("updated_at", week.clone()),
            ],
        ),
        Table {
            template: "WHERE (order_id, operation) = (SELECT order_id, operation FROM ledger_entries LIMIT 1)",
            ..table("ledger_entries", Stay::ForGood, 0, vec![("order_id", order.clone())])
        },
        table("ledger_transactions", Stay::ForGood, 0, vec![("order_id", order), ("booked_at", week)]),
    ]
}

/// What is pruned of each store.
fn old(d: &Dialect, on_servers: bool) -> [Table; 4] {
    let past = (d.ago)(LONG_AGO);
    let webhook = vec![("id", "'week-' || n.i".to_owned()), ("received_at", past.clone())];
    let receipt = vec![("event", (d.id)(4)), ("at", past.clone())];
    // In PostgreSQL receipts have no number.
    let inbox = if on_servers {
        table("inbox", Stay::TooOld, NEWS, receipt)
    } else {
        numbered("seq", table("inbox", Stay::TooOld, NEWEST + NEWS, receipt))
    };
    let session =
        vec![("id", (d.id)(5)), ("user_id", (d.id)(3)), ("created_at", past.clone()), ("expires_at", past.clone())];
    let token = vec![("hash", d.hash.to_owned()), ("session_id", (d.id)(5)), ("expires_at", past)];
    [
        table("webhooks", Stay::TooOld, NEWS, webhook),
        inbox,
        table("sessions", Stay::TooOld, NEWS, session),
        table("refresh_tokens", Stay::TooOld, NEWS, token),
    ]
}

/// The tables of the services, each with its database.
pub(crate) async fn all(cluster: &Cluster) -> Result<Vec<(Store, Table)>> {
    let on_servers = cluster.server_url(Server::Postgres)?.is_some();
    let (user, payment, dialect) = if on_servers {
        (Store::postgres(cluster, "user").await?, Store::postgres(cluster, "payment").await?, POSTGRES)
    } else {
        (Store::sqlite(cluster, "user").await?, Store::sqlite(cluster, "payment").await?, SQLITE)
    };
    let mut tables = Vec::new();
    if !on_servers {
        let (order, week) = (Store::sqlite(cluster, "order").await?, (SQLITE.ago)(IN_THE_WEEK));
        // One of a thousand is of whoever asks for their own.
        let user = format!("CASE n.i % 1000 WHEN 0 THEN s.user_id ELSE {} END", (SQLITE.id)(3));
        let columns =
            vec![("id", (SQLITE.id)(1)), ("user_id", user), ("created_at", week.clone()), ("updated_at", week)];
        tables.push((order, table("orders", Stay::ForGood, 0, columns)));
        let bus = Store::sqlite(cluster, "bus").await?;
        let event =
            vec![("id", (SQLITE.id)(6)), ("kind", "'week.past.v1'".to_owned()), ("logged_at", (SQLITE.ago)(LONG_AGO))];
        let log = Table { of_order: EVENTS, ..numbered("place", table("log", Stay::TooOld, NEWS, event)) };
        tables.push((bus, log));
        let charge = vec![("reference", "'week-' || n.i".to_owned()), ("order_id", (SQLITE.id)(1))];
        let provider = Store::sqlite(cluster, "provider").await?;
        tables.push((provider, table("charges", Stay::ForGood, 0, charge)));
    }
    tables.extend(money(&dialect).map(|table| (payment.clone(), table)));
    for table in old(&dialect, on_servers) {
        let store = if table.name == "webhooks" { &payment } else { &user };
        tables.push((store.clone(), table));
    }
    Ok(tables)
}
