//! Two real servers, of which one takes writes.

use postgres::{Error, HISTORY, connect, create, ping};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, migrate::Migrator};
use testkit::{eventually, servers::Postgres};

async fn takes_writes(server: &Postgres, yes: bool) {
    let mut admin = PgConnection::connect(&format!("{}/postgres", server.url())).await.unwrap();
    let only = if yes { "off" } else { "on" };
    for statement in [&format!("ALTER SYSTEM SET default_transaction_read_only = {only}"), "SELECT pg_reload_conf()"] {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut admin).await.unwrap();
    }
}

/// The first is demoted, and later is away when the second is.
#[tokio::test]
async fn the_server_that_takes_writes_is_found_again() {
    let (Some(first), Some(second)) = (Postgres::alone().await, Postgres::alone().await) else { return };
    takes_writes(&second, false).await;
    let [one, other] = [&first, &second].map(|server| server.url().rsplit_once('@').unwrap());
    let url = format!("{}@{},{}/postgres?target_session_attrs=read-write", one.0, other.1, one.1);
    let pool = connect(&url, "test").await.unwrap();
    let server = async || sqlx::query_scalar::<_, i32>("SELECT inet_server_port()").fetch_one(&pool).await.unwrap();
    let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<i32>().unwrap();
    postgres::migrate(&pool, &Migrator::DEFAULT, HISTORY).await.unwrap();
    assert_eq!(server().await, port(one.1));

    takes_writes(&first, false).await;
    eventually!(matches!(ping(&pool).await, Err(Error::ReadOnly)));
    takes_writes(&second, true).await;
    eventually!(ping(&pool).await);
    assert_eq!(server().await, port(other.1));

    takes_writes(&first, true).await;
    second.kill();
    eventually!(ping(&pool).await);
    assert_eq!(server().await, port(one.1));
}

/// The same server twice will do: neither has the database yet.
#[tokio::test]
async fn a_database_is_made_on_several_servers() {
    let Some(server) = Postgres::shared().await else { return };
    let url = server.database().await;
    let (before, after) = url.rsplit_once('@').unwrap();
    let (host, name) = after.split_once('/').unwrap();
    let several = format!("{before}@{host},{host}/{name}_of_several");
    create(&several).await.unwrap();
    ping(&connect(&several, "test").await.unwrap()).await.unwrap();
}
