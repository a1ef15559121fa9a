//! How many allocations a request makes, with whoever sends it and the database in the same process: what a change adds is
//! found out here, where a measured time would not show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(dead_code, reason = "a part of what the tests of the interface have is needed")]

#[path = "../api/app.rs"]
mod app;

use std::alloc::System;

use app::TestApp;
use axum::http::StatusCode;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use testkit::{allocations, assert_near};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const READ_USER: usize = 130;

#[tokio::test]
async fn a_request_makes_as_many_allocations_as_before() {
    let app = TestApp::start().await;
    let ada = app.person("ada@example.com").await;
    let read_user = async || {
        app.get("/v1/users/me").bearer(&ada.access).send().await.expect(StatusCode::OK);
    };
    assert_near("read_user", allocations(ALLOCATOR, read_user).await, READ_USER);
}
