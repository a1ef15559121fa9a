//! How a layer steps over its list.

use super::*;

const MANIFEST: &str = "[dependencies]\nasync-nats.workspace = true\n[dev-dependencies]\nproptest.workspace = true\n";

/// The breaches in one file of a service.
fn breaches(file: &str, text: &str) -> Vec<Breach> {
    let manifest = Manifest::parse("services/user/Cargo.toml".into(), MANIFEST).unwrap();
    let root = "pub mod adapters;\npub mod api;\npub mod app;\npub mod config;\npub mod domain;";
    let parent = file.split_once('/').map(|(folder, child)| {
        let module = child.trim_end_matches(".rs");
        Source::new(format!("services/user/src/{folder}.rs"), format!("mod {module};"))
    });
    let mut sources = vec![Source::new(format!("services/user/src/{file}"), text)];
    sources.extend(parent);
    sources.extend((file != "lib.rs").then(|| Source::new("services/user/src/lib.rs", root)));
    layers_keep_to_their_lists(&Workspace { sources, manifests: vec![manifest], ..Workspace::default() })
}

fn rules(file: &str, text: &str) -> Vec<(usize, &'static str)> {
    breaches(file, text).into_iter().map(|breach| (breach.line, breach.rule)).collect()
}

fn assert_refused(rule: &'static str, cases: &[(&str, &str)]) {
    for (file, text) in cases {
        assert_eq!(rules(file, text), [(1, rule)], "{file}: {text}");
    }
}

fn assert_accepted(cases: &[(&str, &str)]) {
    for (file, text) in cases {
        assert_eq!(breaches(file, text), [], "{file}: {text}");
    }
}

#[test]
fn a_use_of_an_outer_layer_is_named() {
    assert_refused(
        "layer",
        &[
            ("domain/user.rs", "use crate::app::ports;"),
            ("domain.rs", "fn f() { crate::adapters::sqlite::open(); }"),
            ("domain.rs", "use super::app;"),
            ("domain/user.rs", "use super::super::app;"),
            ("domain/user.rs", "use self::super::super::app;"),
            ("domain/user.rs", "mod tests { use super::super::super::api; }"),
            ("app/register.rs", "use crate::{adapters, domain::User};"),
            ("app/register.rs", "use crate::api::http;"),
            ("app/register.rs", "use crate as root;"),
            ("app/register.rs", "use crate::*;"),
            ("api/http.rs", "use crate::adapters::sqlite::SqliteUsers;"),
            ("api/http.rs", "fn state() -> crate::wiring::Opened {}"),
            ("adapters/sqlite.rs", "use crate::api::http;"),
            ("adapters/sqlite.rs", "use crate::Config;"),
            ("config.rs", "use crate::wiring::Opened;"),
            ("cli.rs", "use crate::adapters::sqlite;"),
            ("main.rs", "use user::adapters;"),
            ("helpers.rs", "//! In no layer."),
        ],
    );
}

#[test]
fn a_use_of_an_inner_layer_is_accepted() {
    assert_accepted(&[
        ("domain/user.rs", "use crate::domain::Email; // not crate::app"),
        ("domain/user.rs", "use super::Email;\nmod tests { use super::super::Email; }"),
        ("app/register.rs", "use crate::{app::ports::Users, domain::User};"),
        ("api/http.rs", "use crate::app::register;\nuse crate::domain::User;"),
        ("adapters/sqlite.rs", "use crate::app::ports::Users;\nuse super::sqlite;"),
        ("wiring.rs", "use crate::{adapters, api, app, config, domain};"),
        ("main.rs", "use user::cli::Cli;"),
    ]);
}

#[test]
fn what_is_not_on_the_list_is_refused_in_domain() {
    assert_refused(
        "layer-technology",
        &[
            ("domain/user.rs", "use mongodb::Client;"),
            ("domain/user.rs", "use redis::Commands;"),
            ("domain/user.rs", "fn f() -> bson::Document { todo() }"),
            ("domain/user.rs", "fn f(client: &async_nats::Client) {}"),
            ("domain/user.rs", "use serde::Serialize;"),
            ("domain/user.rs", "#[derive(serde::Serialize)] struct User;"),
            ("domain/user.rs", "fn f() { std::fs::read(\"a\"); }"),
            ("domain/user.rs", "use std::{fmt, net::IpAddr};"),
            ("domain/user.rs", "use std::process;"),
            ("domain/user.rs", "use std::env;"),
            ("domain/user.rs", "use std::thread;"),
            ("domain/user.rs", "use std::time::{Duration, Instant};"),
            ("domain/user.rs", "use std::time::SystemTime;"),
            ("domain/user.rs", "use std::time;"),
            ("domain/user.rs", "use std::time::*;"),
            ("domain/user.rs", "use std as s;"),
            ("domain/user.rs", "use core::net::IpAddr;"),
            ("domain/user.rs", "use std::sync::Mutex;"),
            ("domain/user.rs", "use tokio;"),
            ("domain/user.rs", "use {tokio::sync::Mutex};"),
            ("domain/user.rs", "extern crate mongodb as m;"),
            ("domain/user.rs", "fn f() { ::mongodb::bson::doc!{}; }"),
            ("domain/user.rs", "fn f() { tracing::info!(\"a\"); }"),
            ("domain/user.rs", "pub async fn confirm() {}"),
            ("domain/user.rs", "use proptest::prelude::*;"),
        ],
    );
}

#[test]
fn what_is_not_on_the_list_is_refused_in_app() {
    assert_refused(
        "layer-technology",
        &[
            ("app/register.rs", "use rdkafka::producer::FutureProducer;"),
            ("app/register.rs", "async fn f(channel: &lapin::Channel) {}"),
            ("app/register.rs", "use elasticsearch::Elasticsearch;"),
            ("app/register.rs", "use client::Grpc;"),
            ("app/register.rs", "fn f() { std::fs::read_to_string(\"a\"); }"),
            ("app/register.rs", "use std::net::TcpStream;"),
            ("app/register.rs", "fn f() { sqlx::query!(\"SELECT 1\"); }"),
            ("app/register.rs", "use axum::Json;"),
            ("app/register.rs", "use backends::open;"),
            ("app/register.rs", "use tokio::net::TcpStream;"),
            ("app/register.rs", "use tokio::{fs, sync};"),
            ("app/register.rs", "use anyhow::Result;"),
            ("app.rs", "use messaging::Effects as _; use rdkafka as broker;"),
        ],
    );
}

#[test]
fn what_is_not_on_the_list_is_refused_further_out() {
    assert_refused(
        "layer-technology",
        &[
            ("api/http.rs", "use sqlx::SqlitePool;"),
            ("api/grpc.rs", "use client::Grpc;"),
            ("api/grpc.rs", "use std::fs;"),
            ("adapters/sqlite.rs", "use mongodb::Client;"),
            ("adapters/mongodb.rs", "use sqlx::Row;"),
            ("adapters/payment_client.rs", "use axum::Router;"),
            ("adapters.rs", "use sqlx::Row;"),
            ("config.rs", "use sqlx::SqlitePool;"),
            ("wiring.rs", "use async_nats::Client;"),
            ("wiring.rs", "use sqlx::PgPool;"),
            ("cli.rs", "use tonic::Request;"),
            ("main.rs", "use user::cli; use tokio::runtime;"),
            ("lib.rs", "use std::fmt;"),
        ],
    );
}

#[test]
fn what_is_on_the_list_is_accepted() {
    assert_accepted(&[
        ("domain/user.rs", "use std::{fmt, str::FromStr, time::Duration};\nuse time::OffsetDateTime;\nuse fmt::Write;"),
        ("domain/user.rs", "fn f() { let client = http.client; self.lock(); u64::MAX; } // serde::Serialize"),
        (
            "domain/user.rs",
            "mod email;\n#[allow(clippy::pedantic)]\nfn f() -> email::Email { Self::new(\"redis::x\") }",
        ),
        (
            "domain/user.rs",
            "#[cfg(test)]\nmod tests {\n    use proptest::prelude::*;\n    use std::fs;\n    prop::bool::ANY;\n}",
        ),
        ("app/register.rs", "use std::sync::Arc;\nfn f() { messaging::Effects::default(); tokio::time::sleep(d); }"),
        ("api/http.rs", "use axum::Json;\nmod users;\nuse users::router;"),
        ("adapters/sqlite/rows.rs", "use sqlx::Row;"),
        ("adapters/sandbox/sqlite.rs", "use sqlx::Row;"),
        ("wiring.rs", "use cache::Cache;\nuse std::sync::Arc;"),
    ]);
}

#[test]
fn a_breach_says_what_to_do() {
    let found = breaches("domain/user.rs", "//! A user.\n\nuse async_nats::Client;");
    assert_eq!(
        found[0].to_string(),
        "services/user/src/domain/user.rs:3: [layer-technology] `async_nats::Client` is not on the list of `domain` in \
         tools/tidy/src/rules/layers/lists.rs: a business rule takes values and returns values: pass it in"
    );
}

#[test]
fn asking_the_system_for_the_time_is_named() {
    let text = "fn f() {\n    let now = OffsetDateTime::now_utc(); }";
    assert_eq!(rules("app/register.rs", text), [(2, "time")]);
    assert_eq!(rules("api/http.rs", "fn f() { clock::system() }"), [(1, "time")]);
    assert_eq!(rules("wiring.rs", "fn f() { clock::system() }"), []);
}
