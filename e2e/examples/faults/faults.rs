//! The faults: what is brought about, and what it needs.

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing: what is measured then is what the load does.
    Nothing,
    /// The file system that holds all databases of the embedded defaults is full.
    DiskFull,
    /// The one that holds `PostgreSQL`'s data is.
    DatabaseDiskFull,
    /// `PostgreSQL` takes no writes, as one that has become a replica.
    ReadOnly,
    /// A second `PostgreSQL` has become primary; the address leads to the old one until the fault is put right.
    DatabaseMoved,
    /// The same of Redis.
    RedisMoved,
    /// The clocks of the three services are wrong by so many seconds.
    Clock(i64),
    /// The services' password of `PostgreSQL` is no good any more.
    Password,
    /// Redis may use no more memory, and evicts nothing.
    RedisFull,
    /// `PostgreSQL` is stopped.
    DatabaseAway,
    /// `MongoDB` is stopped.
    OrdersAway,
    /// NATS is stopped, and comes back with an older copy of its data.
    BusRestored,
    /// An order whose status this version does not know.
    BadOrder,
    /// Rows of the outboxes of user and payment whose time no program reads.
    BadOutbox,
    /// The bus takes no large events.
    LargeEvents,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Its name on the command line and in docs/faults.md.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) cause: Cause,
    /// It stands so many times as long as others.
    pub(crate) times: u32,
}

const HOUR: i64 = 3600;

const fn fault(name: &'static str, title: &'static str, cause: Cause) -> Fault {
    let times = if matches!(cause, Cause::DatabaseAway | Cause::OrdersAway) { 5 } else { 1 };
    Fault { name, title, cause, times }
}

/// In the order in which they are tried.
pub(crate) const ALL: [Fault; 16] = [
    fault("none", "Nothing", Cause::Nothing),
    fault("disk", "Disk full, embedded", Cause::DiskFull),
    fault("disk-postgres", "Disk of PostgreSQL full", Cause::DatabaseDiskFull),
    fault("read-only", "PostgreSQL read-only", Cause::ReadOnly),
    fault("moved-postgres", "Address of PostgreSQL moved", Cause::DatabaseMoved),
    fault("moved-redis", "Address of Redis moved", Cause::RedisMoved),
    fault("clock-ahead", "Clocks an hour ahead", Cause::Clock(HOUR)),
    fault("clock-behind", "Clocks an hour behind", Cause::Clock(-HOUR)),
    fault("password", "Password rotated", Cause::Password),
    fault("redis-full", "Redis full", Cause::RedisFull),
    fault("away-postgres", "PostgreSQL away", Cause::DatabaseAway),
    fault("away-mongodb", "MongoDB away", Cause::OrdersAway),
    fault("nats-restored", "NATS restored", Cause::BusRestored),
    fault("bad-order", "A bad order", Cause::BadOrder),
    fault("bad-outbox", "Bad outbox rows", Cause::BadOutbox),
    fault("large-events", "Large events refused", Cause::LargeEvents),
];

impl Fault {
    /// What is not there and has to be.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        let root = || nix::unistd::geteuid().is_root();
        match self.cause {
            Cause::DiskFull | Cause::DatabaseDiskFull if !root() => Some("not tried: only root mounts a small disk"),
            Cause::Clock(_) if servers::faketime().is_none() => {
                Some("not tried: libfaketime is missing (make servers)")
            }
            _ => None,
        }
    }

    /// Whether it concerns the embedded defaults and not the servers.
    pub(crate) fn is_embedded(&self) -> bool {
        self.cause == Cause::DiskFull
    }
}
