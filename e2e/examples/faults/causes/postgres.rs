//! PostgreSQL: read-only, moved to another server, with another password, with rows that nobody reads.

use std::{os::unix::fs::MetadataExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use servers::Server;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::{Duration, sleep};

use crate::{
    system::{Second, System, until},
    watch::Watch,
};

/// Whose databases they are.
const DATABASES: [&str; 2] = ["user", "payment"];
/// A transaction that began before the server took no writes any more has ended by then.
const TRANSACTIONS: Duration = Duration::from_secs(1);

async fn admin(system: &System) -> Result<PgConnection> {
    Ok(PgConnection::connect(&format!("{}/postgres", system.url(Server::Postgres)?)).await?)
}

async fn run(on: &mut PgConnection, statement: &str) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(on).await.map(drop).with_context(|| statement.to_owned())
}

/// Ends the services' sessions.
async fn terminate(on: &mut PgConnection) -> Result<()> {
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('user', 'payment')";
    run(on, all).await
}

/// New sessions take no writes, and those of today are ended. Sessions that are opened meanwhile stay read-only after it is
/// put right: whoever keeps one does not recover.
pub(super) async fn read_only(system: &System, watch: &Watch<'_>) -> Result<()> {
    let mut admin = admin(system).await?;
    watch.begins().await?;
    for database in DATABASES {
        run(&mut admin, &format!("ALTER DATABASE \"{database}\" SET default_transaction_read_only = on")).await?;
    }
    terminate(&mut admin).await?;
    watch.stands().await;
    for database in DATABASES {
        run(&mut admin, &format!("ALTER DATABASE \"{database}\" RESET default_transaction_read_only")).await?;
    }
    Ok(())
}

/// The password is another one, and then the same again.
pub(super) async fn password(system: &System, watch: &Watch<'_>) -> Result<()> {
    let (mut admin, password) = (admin(system).await?, system.password()?);
    watch.begins().await?;
    run(&mut admin, "ALTER ROLE postgres PASSWORD 'rotated'").await?;
    terminate(&mut admin).await?;
    watch.stands().await;
    run(&mut admin, &format!("ALTER ROLE postgres PASSWORD '{password}'")).await
}

/// The old server takes no writes, a second one has become primary with all that the old one had, and the address leads to
/// the old one. It is put right by leading new connections to the second; those to the old one stay open.
pub(super) async fn moved(system: &System, watch: &Watch<'_>) -> Result<()> {
    let proxy = system.through_a_proxy(Server::Postgres).await?;
    let mut old = admin(system).await?;
    let second = standby(system)?;
    let url = Server::Postgres.url(second.port, Some(&system.password()?));
    let url = format!("{url}/postgres");
    until("the standby answers", async || PgConnection::connect(&url).await.is_ok()).await?;
    let mut new = PgConnection::connect(&url).await?;
    watch.begins().await?;
    run(&mut old, "ALTER SYSTEM SET default_transaction_read_only = on").await?;
    run(&mut old, "SELECT pg_reload_conf()").await?;
    sleep(TRANSACTIONS).await;
    let end: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text").fetch_one(&mut old).await?;
    let behind = "SELECT pg_last_wal_replay_lsn() < $1::pg_lsn";
    while sqlx::query_scalar(behind).bind(&end).fetch_one(&mut new).await? {
        sleep(Duration::from_millis(20)).await;
    }
    run(&mut new, "SELECT pg_promote()").await?;
    watch.stands().await;
    proxy.lead_to(&format!("127.0.0.1:{}", second.port));
    system.keep((proxy, second));
    Ok(())
}

/// A server that follows the one that runs.
fn standby(system: &System) -> Result<Second> {
    let folder = Second::folder()?;
    let (data, port) = (folder.path().join("data"), system.port(Server::Postgres)?.to_string());
    let program = servers::program("pg_basebackup").context("pg_basebackup is not installed: make servers")?;
    let mut copy = Command::new(program);
    copy.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-c", "fast", "-R", "-D"]).arg(&data);
    let copied = copy.env("PGPASSWORD", system.password()?).output()?;
    ensure!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
    give_to_owner_of(&system.cluster.data().join("servers/postgres/data"), &data)?;
    Second::start(Server::Postgres, folder)
}

/// Gives a folder, and what is in it, to whom another belongs.
fn give_to_owner_of(model: &Path, folder: &Path) -> Result<()> {
    let model = model.metadata()?;
    let owner = format!("{}:{}", model.uid(), model.gid());
    let given = Command::new("chown").args(["-R", &owner]).arg(folder).status()?;
    ensure!(given.success(), "chown: {given}");
    Ok(())
}

/// The time of an event is in the year 20000, which no program reads. It is put right by deleting it.
pub(super) async fn bad_outbox(system: &System, watch: &Watch<'_>) -> Result<()> {
    let mut outboxes = Vec::new();
    for database in DATABASES {
        let url = format!("{}/{database}", system.url(Server::Postgres)?);
        outboxes.push(PgConnection::connect(&url).await?);
    }
    watch.begins().await?;
    for outbox in &mut outboxes {
        let bad = "INSERT INTO outbox (id, kind, source, key, time, data, canary, part)
            SELECT gen_random_uuid(), 'bad.row.v1', 'faults', 'bad', '20000-01-01', '', false, part
            FROM generate_series(0, 63) AS part";
        run(outbox, bad).await?;
    }
    watch.stands().await;
    for outbox in &mut outboxes {
        run(outbox, "DELETE FROM outbox WHERE kind = 'bad.row.v1'").await?;
    }
    Ok(())
}
