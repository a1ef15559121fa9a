//! Password hashing with Argon2id, off the async threads, few at a time.

mod memory;
mod queue;

use std::{net::IpAddr, sync::Arc};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, phc},
};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use self::{
    memory::{Memories, Memory},
    queue::Queue,
};
use crate::{
    app::ports::{PasswordError, Passwords},
    domain::{Password, PasswordHash},
};

/// Random bytes in a salt.
const SALT_LEN: usize = 16;

/// What a hash costs and how many are made at once.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// KiB of memory for each hash.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// How many at once.
    pub parallel: usize,
    /// How many may wait; more are refused.
    pub queue: usize,
}

/// Hashes with Argon2id (RFC 9106), one lane.
///
/// Memory and threads are bounded by `parallel`, and the time that anybody waits by `queue`.
pub struct Argon2id {
    argon2: Argon2<'static>,
    memories: Arc<Memories>,
    queue: Queue,
    /// What a password is verified against when there is no hash.
    dummy: PasswordHash,
}

/// Hashing that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parameters or a stored hash are wrong.
    #[error("argon2: {0}")]
    Argon2(String),
    /// The system has no randomness.
    #[error("no randomness")]
    Randomness,
    /// The thread that hashed panicked or was never started.
    #[error("hashing ended early")]
    Aborted,
}

impl Argon2id {
    /// Hashes at this cost.
    ///
    /// # Errors
    /// Argon2 does not take the parameters.
    pub fn new(cost: Cost) -> Result<Self, Error> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(argon2_error)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = dummy_hash(argon2.params())?;
        Ok(Self {
            memories: Arc::new(Memories::new(argon2.params().block_count())),
            argon2,
            queue: Queue::new(cost.parallel, cost.queue),
            dummy,
        })
    }

    /// Runs `work` on a blocking thread as soon as one of the workers is free.
    ///
    /// Cancel safe: a caller that goes away while it waits leaves the queue; once hashing has begun it runs to its end,
    /// and its permit is free only then.
    async fn run<T, F>(&self, client: Option<IpAddr>, work: F) -> Result<T, PasswordError>
    where
        T: Send + 'static,
        F: FnOnce(&Argon2<'static>, &mut Memory) -> Result<T, Error> + Send + 'static,
    {
        // Waited for here and not on the blocking thread: the pool's threads are shared, and one that only waits would
        // be missing elsewhere.
        let permit = self.queue.enter(client).await.map_err(|_| PasswordError::QueueFull)?;
        let (argon2, memories) = (self.argon2.clone(), Arc::clone(&self.memories));
        let done = tokio::task::spawn_blocking(move || {
            // Moved in: a blocking thread cannot be cancelled, so the permit must outlive a caller that is.
            let _permit = permit;
            memories.with(|memory| work(&argon2, memory))
        });
        let done = done.await.map_err(|_| PasswordError::Failed(Error::Aborted.into()))?;
        done.map_err(|e| PasswordError::Failed(e.into()))
    }
}

#[async_trait]
impl Passwords for Argon2id {
    async fn hash(&self, password: Password, client: Option<IpAddr>) -> Result<PasswordHash, PasswordError> {
        self.run(client, move |argon2, memory| hash(argon2, memory, password.expose())).await
    }

    async fn verify(
        &self,
        password: Password,
        stored: Option<PasswordHash>,
        client: Option<IpAddr>,
    ) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        // Without a hash the same work is done on the dummy, so that the time does not tell who has an account.
        let against = stored.unwrap_or_else(|| self.dummy.clone());
        let right = self.run(client, move |_, memory| verify(memory, password.expose(), &against)).await?;
        // Not `right` alone: should a password ever match the dummy, it still opens no account.
        Ok(known && right)
    }
}

fn hash(argon2: &Argon2<'_>, memory: &mut Memory, password: &str) -> Result<PasswordHash, Error> {
    let mut salt = [0_u8; SALT_LEN];
    getrandom::fill(&mut salt).map_err(|_| Error::Randomness)?;
    let mut output = [0_u8; Params::DEFAULT_OUTPUT_LEN];
    memory.hash(argon2, password.as_bytes(), &salt, &mut output).map_err(argon2_error)?;
    Ok(phc_string(argon2.params(), &salt, &output))
}

/// A hash as it is stored, in the format of PHC strings.
fn phc_string(params: &Params, salt: &[u8], output: &[u8]) -> PasswordHash {
    let (memory_kib, passes) = (params.m_cost(), params.t_cost());
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    PasswordHash::new(format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${output}"))
}

fn argon2_error(error: impl std::fmt::Display) -> Error {
    Error::Argon2(error.to_string())
}

/// A hash of this cost with random output, which no password is known to have. It is not made from a password: that
/// would delay the start by as long as hashing takes.
fn dummy_hash(params: &Params) -> Result<PasswordHash, Error> {
    let mut bytes = [0_u8; SALT_LEN + Params::DEFAULT_OUTPUT_LEN];
    getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
    let (salt, output) = bytes.split_at(SALT_LEN);
    Ok(phc_string(params, salt, output))
}

fn verify(memory: &mut Memory, password: &str, stored: &PasswordHash) -> Result<bool, Error> {
    let stored = phc::PasswordHash::new(stored.expose()).map_err(argon2_error)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(argon2_error(password_hash::Error::OutputSize));
    };
    // Verified at the cost that the hash itself names: a hash from before the configuration changed stays valid.
    let argon2 = Argon2::new(
        Algorithm::try_from(stored.algorithm.as_str()).map_err(argon2_error)?,
        stored.version.unwrap_or(Version::V0x13.into()).try_into().map_err(argon2_error)?,
        Params::try_from(&stored).map_err(argon2_error)?,
    );
    let mut output = vec![0_u8; expected.len()];
    memory.hash(&argon2, password.as_bytes(), salt, &mut output).map_err(argon2_error)?;
    // `Output` compares in constant time.
    Ok(phc::Output::new(&output).map_err(argon2_error)? == *expected)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, parallel: 2, queue: 2 };

    fn password(text: &str) -> Password {
        Password::attempt(text)
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_no_other() {
        let passwords = Argon2id::new(CHEAP).unwrap();
        let stored = passwords.hash(password("correct horse"), None).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert!(passwords.verify(password("correct horse"), Some(stored.clone()), None).await.unwrap());
        assert!(!passwords.verify(password("correct hors"), Some(stored.clone()), None).await.unwrap());
        let again = passwords.hash(password("correct horse"), None).await.unwrap();
        assert!(again != stored, "the salt is new each time");
    }

    #[tokio::test]
    async fn a_hash_of_a_higher_cost_is_verified_at_its_own() {
        let dear = Argon2id::new(Cost { passes: 3, ..CHEAP }).unwrap();
        let stored = dear.hash(password("correct horse"), None).await.unwrap();
        assert!(Argon2id::new(CHEAP).unwrap().verify(password("correct horse"), Some(stored), None).await.unwrap());
    }

    #[tokio::test]
    async fn without_a_hash_it_takes_as_long_and_is_wrong() {
        let passwords = Argon2id::new(Cost { memory_kib: 4096, passes: 4, ..CHEAP }).unwrap();
        let stored = passwords.hash(password("correct horse"), None).await.unwrap();
        // The fastest of each count, because other work on the machine only slows them down; and they are measured until
        // they agree, because it may slow one of them down for long.
        let mut fastest = [Duration::MAX; 2];
        let agree = |fastest: &[Duration; 2]| fastest[0] < fastest[1] * 2 && fastest[1] < fastest[0] * 2;
        for round in 0..200 {
            for (fastest, stored) in fastest.iter_mut().zip([None, Some(stored.clone())]) {
                let started = Instant::now();
                assert!(!passwords.verify(password("wrong"), stored, None).await.unwrap());
                *fastest = started.elapsed().min(*fastest);
            }
            if round >= 8 && agree(&fastest) {
                break;
            }
        }
        assert!(agree(&fastest), "{fastest:?}");
    }

    #[tokio::test]
    async fn a_broken_hash_is_our_fault() {
        let passwords = Argon2id::new(CHEAP).unwrap();
        let broken = Some(PasswordHash::new("$argon2id$".to_owned()));
        assert!(matches!(passwords.verify(password("x"), broken, None).await, Err(PasswordError::Failed(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_may_wait_are_refused_at_once() {
        let passwords = Argon2id::new(Cost { memory_kib: 4096, passes: 20, parallel: 1, queue: 2 }).unwrap();
        let attempts = (0..10).map(|_| passwords.verify(password("wrong"), None, None));
        let results = futures::future::join_all(attempts).await;
        let refused = results.iter().filter(|result| matches!(result, Err(PasswordError::QueueFull))).count();
        assert_eq!(refused, 7, "one works and two wait");
        assert!(passwords.verify(password("wrong"), None, None).await.is_ok(), "the permits are free again");
    }
}
