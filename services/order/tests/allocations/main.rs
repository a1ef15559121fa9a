//! How many allocations a request makes, with whoever sends it, a stand-in for payment and the database in the same process:
//! what a change adds is found out here, where a measured time would not show it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]
#![allow(dead_code, reason = "a part of what the tests of the interface have is needed")]

#[path = "../api/app.rs"]
mod app;
#[path = "../api/customers.rs"]
mod customers;
#[path = "../api/payment.rs"]
mod payment;

use std::alloc::System;

use app::{RequestExt as _, TestApp};
use http::StatusCode;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use testkit::{allocations, assert_near};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const HELD: [(&str, usize); 3] = [("list_products", 452), ("read_order", 215), ("place", 547)];

#[tokio::test]
async fn a_request_makes_as_many_allocations_as_before() {
    let app = TestApp::start().await;
    for n in 0..20 {
        app.product(&format!("sku-{n}"), 500, 1_000_000).await;
    }
    let (ada, tea) = (app.customer(), app.product("tea", 500, 1_000_000).await);
    let path = format!("/v1/orders/{}", app.confirmed(&ada, &tea).await);
    let list = async || {
        app.get("/v1/products?limit=20").send().await.expect(StatusCode::OK);
    };
    let read = async || {
        app.get(&path).by(&ada).send().await.expect(StatusCode::OK);
    };
    let place = async || {
        app.confirmed(&ada, &tea).await;
    };
    let made =
        [allocations(ALLOCATOR, list).await, allocations(ALLOCATOR, read).await, allocations(ALLOCATOR, place).await];
    for (made, (what, held)) in made.into_iter().zip(HELD) {
        assert_near(what, made, held);
    }
}
