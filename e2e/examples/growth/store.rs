//! The databases of the services.

use std::{path::PathBuf, str::FromStr as _};

use anyhow::{Context as _, Result};
use e2e::Cluster;
use servers::Server;
use sqlx::{
    AssertSqlSafe, PgPool, SqlitePool,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::tables::{self, Table};

/// Rows of one transaction: others write in between.
const CHUNK: i64 = 20_000;

/// A database, with its name.
#[derive(Clone)]
pub(crate) enum Store {
    Sqlite(&'static str, PathBuf, SqlitePool),
    Postgres(&'static str, PgPool),
}

impl Store {
    /// A file of the data directory.
    pub(crate) async fn sqlite(cluster: &Cluster, name: &'static str) -> Result<Self> {
        let path = cluster.data().join(format!("{name}.db"));
        let options = SqliteConnectOptions::new().filename(&path).foreign_keys(false);
        Ok(Self::Sqlite(name, path, SqlitePoolOptions::new().max_connections(1).connect_with(options).await?))
    }

    /// A database of the server.
    pub(crate) async fn postgres(cluster: &Cluster, name: &'static str) -> Result<Self> {
        let url = cluster.server_url(Server::Postgres)?.context("no PostgreSQL")?;
        // Neither triggers nor foreign keys: rows come table by table.
        let options =
            PgConnectOptions::from_str(&format!("{url}/{name}"))?.options([("session_replication_role", "replica")]);
        Ok(Self::Postgres(name, PgPool::connect_with(options).await?))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(name, ..) | Self::Postgres(name, _) => name,
        }
    }

    async fn number(&self, query: String) -> Result<i64> {
        let query = AssertSqlSafe(query);
        Ok(match self {
            Self::Sqlite(.., pool) => sqlx::query_scalar(query).fetch_one(pool).await?,
            Self::Postgres(_, pool) => sqlx::query_scalar(query).fetch_one(pool).await?,
        })
    }

    pub(crate) async fn count(&self, table: &str) -> Result<i64> {
        self.number(format!("SELECT count(*) FROM {table}")).await
    }

    /// A table with its indices.
    pub(crate) async fn table_bytes(&self, table: &str) -> Result<i64> {
        let query = match self {
            Self::Sqlite(..) => format!(
                "SELECT coalesce(sum(pgsize), 0) FROM dbstat
                 WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '{table}')"
            ),
            Self::Postgres(..) => format!("SELECT pg_total_relation_size('{table}')"),
        };
        self.number(query).await
    }

    /// All of it.
    pub(crate) async fn bytes(&self) -> Result<i64> {
        match self {
            Self::Sqlite(_, path, _) => Ok(i64::try_from(std::fs::metadata(path)?.len())?),
            Self::Postgres(..) => self.number("SELECT pg_database_size(current_database())".to_owned()).await,
        }
    }

    async fn columns(&self, table: &str) -> Result<Vec<String>> {
        let query = match self {
            Self::Sqlite(..) => format!("SELECT name FROM pragma_table_info('{table}')"),
            Self::Postgres(..) => format!(
                "SELECT column_name::text FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
        };
        let query = AssertSqlSafe(query);
        Ok(match self {
            Self::Sqlite(.., pool) => sqlx::query_scalar(query).fetch_all(pool).await?,
            Self::Postgres(_, pool) => sqlx::query_scalar(query).fetch_all(pool).await?,
        })
    }

    /// Has the rows that come from now on be numbered from above those that will be planted.
    pub(crate) async fn make_room(&self, table: &Table, rows: i64) -> Result<()> {
        let (Self::Sqlite(.., pool), Some(_)) = (self, table.numbered) else { return Ok(()) };
        let above = rows + 2 * tables::FIRST;
        let statements = match table.name {
            // With AUTOINCREMENT the highest number is noted here; without, it is the highest there is.
            "log" => vec![
                "DELETE FROM sqlite_sequence WHERE name = 'log'".to_owned(),
                format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', {above})"),
            ],
            _ => vec![format!(
                "INSERT INTO inbox (seq, consumer, event, at)
                 VALUES ({above}, 'room', randomblob(16), strftime('%s', 'now') * 1000000)"
            )],
        };
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement)).execute(pool).await?;
        }
        Ok(())
    }

    /// Copies what a table has of one order so often, but for the columns that differ from row to row.
    pub(crate) async fn plant(&self, table: &Table, rows: i64) -> Result<()> {
        let own = |name: &String| table.columns.iter().find(|(column, _)| column == name);
        let names = self.columns(table.name).await?;
        let values: Vec<String> = names
            .iter()
            .map(|name| own(name).map_or_else(|| format!("s.{name}"), |(_, value)| value.clone()))
            .collect();
        let (name, names, values) = (table.name, names.join(", "), values.join(", "));
        for first in (1..=rows).step_by(usize::try_from(CHUNK)?) {
            let last = rows.min(first + CHUNK - 1);
            let numbers = match self {
                Self::Sqlite(..) => {
                    format!(
                        "(WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n)"
                    )
                }
                Self::Postgres(..) => format!("(SELECT i FROM generate_series({first}::bigint, {last}) AS i)"),
            };
            let insert = format!(
                "INSERT INTO {name} ({names}) SELECT {values} FROM {numbers} AS n LEFT JOIN (SELECT * FROM {name} {}) AS s ON true",
                table.template
            );
            let insert = AssertSqlSafe(insert);
            match self {
                Self::Sqlite(.., pool) => sqlx::query(insert).execute(pool).await.map(drop)?,
                Self::Postgres(_, pool) => sqlx::query(insert).execute(pool).await.map(drop)?,
            }
        }
        if let Self::Postgres(_, pool) = self {
            // What its own daemon does a minute later.
            sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {name}"))).execute(pool).await?;
        }
        Ok(())
    }
}
