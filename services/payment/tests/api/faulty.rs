//! A provider whose next call goes wrong as told, in front of the sandbox.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use payment::{
    adapters::sandbox::Sandbox,
    app::ports::{Charge, Instruction, Key, Provider, ProviderError},
    domain::{OrderId, Outcome, PaymentToken},
};
use tokio::sync::Notify;

/// What goes wrong with the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never reaches the provider, and no answer comes.
    LostOnTheWay,
    /// The provider does it, and no answer comes.
    AnswerLost,
    /// It waits before it reaches the provider, until let go.
    HeldUp,
    /// The provider refuses to work.
    Refused,
}

pub(crate) struct Faulty {
    inner: Sandbox,
    next: Mutex<Option<Fault>>,
    deaf: Mutex<bool>,
    pub(crate) gate: Notify,
    pub(crate) reached: Notify,
    pub(crate) calls: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(inner: Sandbox) -> Self {
        Self {
            inner,
            next: Mutex::default(),
            deaf: Mutex::default(),
            gate: Notify::new(),
            reached: Notify::new(),
            calls: AtomicU64::new(0),
        }
    }

    /// Has the next instruction go wrong.
    pub(crate) fn fail_next(&self, fault: Fault) {
        *self.next.lock().unwrap() = Some(fault);
    }

    /// Has it answer no question about what it did, or do so again.
    pub(crate) fn deaf(&self, deaf: bool) {
        *self.deaf.lock().unwrap() = deaf;
    }

    fn hear(&self) -> Result<(), ProviderError> {
        if *self.deaf.lock().unwrap() { Err(ProviderError::Unknown(None)) } else { Ok(()) }
    }
}

#[async_trait]
impl Provider for Faulty {
    async fn knows(&self, token: &PaymentToken) -> Result<bool, ProviderError> {
        self.inner.knows(token).await
    }

    async fn execute(&self, instruction: &Instruction) -> Result<Outcome, ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let fault = self.next.lock().unwrap().take();
        match fault {
            None => self.inner.execute(instruction).await,
            Some(Fault::Refused) => Err(ProviderError::Refused(None)),
            Some(Fault::LostOnTheWay) => {
                self.reached.notify_one();
                std::future::pending().await
            }
            Some(Fault::AnswerLost) => {
                let _ = self.inner.execute(instruction).await;
                self.reached.notify_one();
                std::future::pending().await
            }
            Some(Fault::HeldUp) => {
                self.reached.notify_one();
                self.gate.notified().await;
                self.inner.execute(instruction).await
            }
        }
    }

    async fn find(&self, key: Key) -> Result<Option<Outcome>, ProviderError> {
        self.hear()?;
        self.inner.find(key).await
    }

    async fn charges(&self, order: OrderId) -> Result<Vec<Charge>, ProviderError> {
        self.hear()?;
        self.inner.charges(order).await
    }

    async fn charged_twice(&self) -> Result<u64, ProviderError> {
        self.inner.charged_twice().await
    }
}
