//! Mail that waits: what a server that refuses, or says nothing, holds up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use user::app::{
    Error,
    mail_queue::run,
    ports::{Letter, MailError, Mails},
};

use crate::use_cases::{UseCases, email};

/// A server of mail that does the same with each.
struct Server {
    answer: Option<fn() -> MailError>,
    asked: AtomicUsize,
}

impl Server {
    /// One that answers so, or never.
    fn answering(answer: Option<fn() -> MailError>) -> Arc<Self> {
        Arc::new(Self { answer, asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Mails for Server {
    async fn send(&self, _: &Letter) -> Result<(), MailError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.answer {
            Some(answer) => Err(answer()),
            None => std::future::pending().await,
        }
    }
}

/// A process that ends, with one mail that waits.
async fn end(server: &Arc<Server>) -> Duration {
    let (cases, jobs) = UseCases::mailing(server.clone()).await;
    cases.register("ada@example.com").await;
    let (token, begun) = (CancellationToken::new(), std::time::Instant::now());
    token.cancel();
    tokio::time::timeout(Duration::from_secs(8), run(cases.app.clone(), jobs, token)).await.unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn what_the_server_refuses_is_not_tried_again() {
    let server = Server::answering(Some(|| MailError::Refused("550".into())));
    end(&server).await;
    assert_eq!(server.asked(), 1);
    let busy = Server::answering(Some(|| MailError::Unavailable("421".into())));
    end(&busy).await;
    assert!(busy.asked() > 1);
}

#[tokio::test]
async fn a_server_that_says_nothing_does_not_keep_the_process() {
    let server = Server::answering(None);
    assert!(end(&server).await >= Duration::from_secs(1), "what waits gets a moment");
    assert_eq!(server.asked(), 1);
}

/// Nobody takes mail out of the queue, as if all who do waited for the server.
#[tokio::test]
async fn a_full_queue_refuses_everybody_alike_and_holds_up_nobody() {
    let (cases, _jobs) = UseCases::mailing(Server::answering(None)).await;
    cases.register("ada@example.com").await;
    let ask = |address: String| cases.app.request_password_reset(email(&address), None);
    for n in 1..1024 {
        ask(format!("{n}@example.com")).await.unwrap();
    }
    for address in ["ada@example.com", "eve@example.com"] {
        let refused = ask(address.to_owned()).await;
        assert!(matches!(refused, Err(Error::MailQueueFull)), "{refused:?}");
    }
    cases.register("bob@example.com").await;
}
