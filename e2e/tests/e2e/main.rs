//! End to end over the real binaries: what a client and an operator see, also when processes are killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

mod books;
mod business;
mod dead_letters;
mod export;
mod kill;
mod lines;
mod mail;
mod moving;
mod observe;
mod outbox;
mod private;
mod ready;
mod round_trips;
mod signals;
mod stop;
mod story;
mod terminal;
mod trace;
mod verify;
