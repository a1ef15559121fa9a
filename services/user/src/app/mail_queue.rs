//! Mail that waits to be sent.
//!
//! A request only adds to the queue: whether an account exists, and whether the server of mail is slow, is found out
//! afterwards, so that the answer and its time say nothing of either. The queue is in memory. What a process does not get to
//! before it ends is asked for again; stored, it would hold tokens in the clear.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use opentelemetry::metrics::Counter;
use resilience::{Backoff, Failed, LastFailure};
use semconv::{attributes, metrics};
use telemetry::Carrier;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    App, Error,
    opaque_token::OpaqueToken,
    ports::{Content, Letter, MailError, NewMailToken},
};
use crate::domain::{Account, Email, MailPurpose, UserId};

/// How many mails may wait.
const CAPACITY: usize = 1024;
/// How many are sent at once.
const AT_ONCE: usize = 8;
/// How often a mail is tried.
const ATTEMPTS: u32 = 4;
/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a process that ends goes on sending: within the last quarter of `shutdown.deadline`, which tasks have in any case.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait after a failed attempt: the first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A mail to be sent.
pub enum Job {
    /// Asks the owner of an account to confirm the address.
    Verification(UserId),
    /// Lets whoever has the account with this address, if anybody has, set another password.
    Reset(Email),
}

/// Jobs, each with the trace of the request that it is from.
pub type Jobs = Receiver<(Job, Carrier)>;

/// Where requests leave mail.
pub struct MailQueue {
    jobs: Sender<(Job, Carrier)>,
    mails: Counter<u64>,
    /// Of the server of mail, whoever the mail was for.
    server: LastFailure,
}

impl MailQueue {
    /// An empty queue, and its other end, for [`run`].
    pub fn new() -> (Self, Jobs) {
        let (sender, jobs) = mpsc::channel(CAPACITY);
        (Self { jobs: sender, mails: metrics::USER_MAIL.instrument(), server: LastFailure::default() }, jobs)
    }

    /// Adds a job.
    ///
    /// # Errors
    /// As many wait as may.
    pub(super) fn add(&self, job: Job) -> Result<(), Error> {
        self.jobs.try_send((job, Carrier::current())).map_err(|_| Error::MailQueueFull)
    }

    /// Whether the server took the last mail, or refused only that one.
    ///
    /// # Errors
    /// It takes none.
    pub fn check(&self) -> Result<(), Failed> {
        self.server.check()
    }

    /// Counts a mail by what became of it.
    pub(super) fn count(&self, purpose: &'static str, sent: &Result<(), MailError>) {
        match sent {
            Err(error @ MailError::Unavailable(_)) => self.server.failed(error),
            _ => self.server.succeeded(),
        }
        let outcome = match sent {
            Ok(()) => "sent",
            Err(MailError::Unavailable(_)) => "unavailable",
            Err(MailError::Deferred(_)) => "deferred",
            Err(MailError::Refused(_)) => "refused",
        };
        self.mails.add(1, &[attributes::MAIL_PURPOSE.of(purpose), attributes::MAIL_OUTCOME.of(outcome)]);
    }
}

/// Sends what is queued, some at once, until the token is cancelled; then what still waits, as far as that is quick.
pub async fn run(app: Arc<App>, jobs: Jobs, token: CancellationToken) {
    let next = async |mut jobs: Jobs| {
        let job = tokio::select! {
            job = jobs.recv() => job,
            () = token.cancelled() => {
                jobs.close();
                jobs.recv().await
            }
        };
        job.map(|job| (job, jobs))
    };
    let sending = stream::unfold(jobs, next).for_each_concurrent(AT_ONCE, |job| work_off(&app, job));
    let too_late = async {
        token.cancelled().await;
        tokio::time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        () = sending => {}
        () = too_late => tracing::warn!("the process ends, and mail that waited is not sent"),
    }
}

async fn work_off(app: &App, (job, carrier): (Job, Carrier)) {
    let span = tracing::info_span!("service.send_mail", user.id = tracing::field::Empty);
    let sending = async {
        if let Err(error) = app.send_mail(job).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a mail was not sent; it has to be asked for again"
            );
        }
    };
    telemetry::scope(&carrier, None, span, sending).await;
}

impl App {
    async fn send_mail(&self, job: Job) -> Result<(), Error> {
        let (user, purpose) = match job {
            Job::Verification(user) => (Some(user), MailPurpose::VerifyEmail),
            Job::Reset(email) => {
                (self.accounts.login(&email).await?.map(|login| login.user), MailPurpose::ResetPassword)
            }
        };
        let Some(user) = user else { return Ok(()) };
        tracing::Span::current().record("user.id", tracing::field::display(user));
        match self.accounts.get(user).await? {
            Some(account) if account.is_active() => self.send_token(account, purpose).await,
            _ => Ok(()),
        }
    }

    /// Sends a new token to the address that is stored: one that was typed may only look the same.
    async fn send_token(&self, account: Account, purpose: MailPurpose) -> Result<(), Error> {
        let Some(email) = account.email else { return Ok(()) };
        self.attempts.mail_turn().await;
        let token = OpaqueToken::generate()?;
        let (user, expires_at) = (account.id, self.now() + purpose.lifetime());
        let new = NewMailToken { user, email, purpose, hash: *token.hash(), expires_at };
        // Stored before it is sent, so that nobody gets one that is not good.
        if !self.mail_tokens.put(&new).await? {
            return Ok(());
        }
        let content = Content::Token(purpose, token.into_text());
        let letter = Letter { id: Uuid::now_v7(), user, to: new.email, content };
        let sent = self.send_letter(&letter).await;
        self.mail_queue.count(letter.purpose(), &sent);
        sent?;
        tracing::info!(user.id = %user, mail.purpose = letter.purpose(), "mail sent");
        Ok(())
    }

    async fn send_letter(&self, letter: &Letter) -> Result<(), MailError> {
        let backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let mut attempt = 0;
        loop {
            let sent = tokio::time::timeout(TIMEOUT, self.mails.send(letter)).await;
            attempt += 1;
            match sent.unwrap_or_else(|elapsed| Err(MailError::Unavailable(elapsed.into()))) {
                Err(MailError::Unavailable(_) | MailError::Deferred(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(backoff.ceiling(attempt)).await;
                }
                done => return done,
            }
        }
    }
}
