//! The sandbox behind a provider whose next call fails in a chosen way.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use payment::{
    adapters::sandbox::Sandbox,
    app::ports::{IdempotencyKey, Instruction, Provider, ProviderError},
    domain::{Charge, ChargeReference, OrderId, Outcome, PaymentToken},
};
use tokio::sync::Notify;

/// What goes wrong with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never reaches the provider, and no answer comes.
    RequestLost,
    /// The provider carries it out, and no answer comes.
    AnswerLost,
    /// It reaches the provider only when the test lets it.
    Delayed,
    /// The provider works it off only when the test has it do so, long after payment has stopped waiting.
    Late,
    /// The provider does not take it.
    Unavailable,
}

pub(crate) struct FaultyProvider {
    inner: Sandbox,
    next: Mutex<Option<Fault>>,
    queries_fail: Mutex<bool>,
    late: Mutex<Option<Instruction>>,
    /// Lets a delayed call go on.
    pub(crate) resume: Notify,
    /// A call has gone as far as its fault lets it.
    pub(crate) reached: Notify,
    /// Calls of [`Provider::execute`].
    pub(crate) calls: AtomicU64,
    /// Calls of [`Provider::release`].
    releases: AtomicU64,
}

impl FaultyProvider {
    pub(crate) fn new(inner: Sandbox) -> Self {
        Self {
            inner,
            next: Mutex::default(),
            queries_fail: Mutex::default(),
            late: Mutex::default(),
            resume: Notify::new(),
            reached: Notify::new(),
            calls: AtomicU64::new(0),
            releases: AtomicU64::new(0),
        }
    }

    /// Has the next instruction fail.
    pub(crate) fn fail_next(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }

    /// Whether questions about what was done get no answer.
    pub(crate) fn fail_queries(&self, fail: bool) {
        *self.queries_fail.lock().unwrap() = fail;
    }

    /// Works off the call that was late.
    pub(crate) async fn work_off(&self) -> Outcome {
        let instruction = self.late.lock().unwrap().take().expect("a late call");
        self.inner.execute(&instruction).await.unwrap()
    }

    /// How many orphans had to be released.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.load(Ordering::SeqCst)
    }

    fn check_queries(&self) -> Result<(), ProviderError> {
        if *self.queries_fail.lock().unwrap() { Err(ProviderError::OutcomeUnknown(None)) } else { Ok(()) }
    }
}

#[async_trait]
impl Provider for FaultyProvider {
    async fn knows_token(&self, token: &PaymentToken) -> Result<bool, ProviderError> {
        self.inner.knows_token(token).await
    }

    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = self.next.lock().unwrap().take();
        match fault {
            None => self.inner.execute(instruction).await,
            Some(Fault::Late) => {
                *self.late.lock().unwrap() = Some(instruction.clone());
                Err(ProviderError::OutcomeUnknown(None))
            }
            Some(Fault::Unavailable) => Err(ProviderError::Unavailable(None)),
            Some(Fault::RequestLost) => {
                self.reached.notify_one();
                std::future::pending().await
            }
            Some(Fault::AnswerLost) => {
                let _ = self.inner.execute(instruction).await;
                self.reached.notify_one();
                std::future::pending().await
            }
            Some(Fault::Delayed) => {
                self.reached.notify_one();
                self.resume.notified().await;
                self.inner.execute(instruction).await
            }
        }
    }

    async fn find_outcome(&self, key: IdempotencyKey) -> Result<Option<Outcome>, ProviderError> {
        self.check_queries()?;
        self.inner.find_outcome(key).await
    }

    async fn revoke(&self, key: IdempotencyKey) -> Result<Outcome, ProviderError> {
        self.check_queries()?;
        self.inner.revoke(key).await
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        self.check_queries()?;
        self.inner.charges(order).await
    }

    async fn list(&self, after: Option<&ChargeReference>, limit: u32) -> Result<Vec<Charge>, ProviderError> {
        self.check_queries()?;
        self.inner.list(after, limit).await
    }

    async fn release(&self, order: OrderId, charge: &ChargeReference) -> Result<Outcome, ProviderError> {
        self.releases.fetch_add(1, Ordering::SeqCst);
        self.inner.release(order, charge).await
    }

    async fn charged_twice(&self) -> Result<u64, ProviderError> {
        self.inner.charged_twice().await
    }
}
