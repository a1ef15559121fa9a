//! How often somebody may try a password, before it costs anything to look whether it is right, and have mail sent.
//!
//! Of an account, of an address, and of an account from one address, so that whoever guesses from one place keeps nobody
//! out who is somewhere else, and guessing from many places ends too.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use futures::future::join_all;
use limit::{Decision, Limiter, Quota};
use resilience::Outage;

use super::Error;
use crate::domain::Email;

/// Of one account from one address.
const PAIR: Quota = Quota { burst: 20, refill: Duration::from_mins(1) };
/// From one address, whatever the account: fewer than may wait to be verified.
const ADDRESS: Quota = Quota { burst: 60, refill: Duration::from_secs(3) };
/// Of one account: a hundred in an hour (OWASP ASVS 4.0.3, 2.2.1). No oftener than one address gives back, so that no
/// single one uses it up.
const ACCOUNT: Quota = Quota { burst: 40, refill: Duration::from_mins(1) };

/// Mails of one purpose to one account: nobody's mailbox is flooded.
const MAIL_ACCOUNT: Quota = Quota { burst: 3, refill: Duration::from_mins(10) };
/// Mails that are asked for from one address.
const MAIL_ADDRESS: Quota = Quota { burst: 30, refill: Duration::from_mins(1) };
/// Mails in all: whatever many addresses ask for, the server of mail takes us for no sender of spam.
const MAIL_ALL: Quota = Quota { burst: 100, refill: Duration::from_millis(100) };

/// An attempt that may be made, and counts until it is known to be right.
pub(super) struct Attempt {
    pair: Option<String>,
    address: Option<String>,
    account: String,
}

/// What counts attempts.
pub struct Attempts {
    limiter: Arc<dyn Limiter>,
    outage: Outage,
}

impl Attempts {
    /// Counts with a limiter.
    pub fn new(limiter: Arc<dyn Limiter>) -> Self {
        Self { limiter, outage: Outage::default() }
    }

    /// Counts an attempt. `email` is what was typed, `None` where that cannot be an address of an account.
    pub(super) async fn begin(&self, email: Option<&Email>, client: Option<IpAddr>) -> Result<Attempt, Error> {
        let attempt = Attempt::new(email, client);
        self.take(attempt.keys()).await?;
        Ok(attempt)
    }

    /// Counts a mail that somebody has sent to an account, or that an account gets by what its owner does. `email` is `None` where what was typed cannot be an address.
    ///
    /// Each purpose by itself: strangers, who may ask for one of them, do not see in a refusal that the owner asked for the other.
    pub(super) async fn begin_mail(
        &self,
        purpose: &str,
        email: Option<&Email>,
        client: Option<IpAddr>,
    ) -> Result<(), Error> {
        let account = |email| format!("mail/{purpose}/{}", fingerprint(Some(email)));
        let account = email.map(|email| (account(email), MAIL_ACCOUNT));
        let address = client.map(|client| (format!("mail/address/{}", network(client)), MAIL_ADDRESS));
        let keys = address.iter().chain(&account).map(|(key, quota)| (key.as_str(), *quota));
        self.take(keys).await
    }

    /// Waits until another mail may be sent, of all that there are.
    pub(super) async fn mail_turn(&self) {
        while let Err(Error::TooManyAttempts { retry_after }) = self.take([("mail/all", MAIL_ALL)].into_iter()).await {
            tokio::time::sleep(retry_after).await;
        }
    }

    async fn take<'a>(&self, keys: impl Iterator<Item = (&'a str, Quota)>) -> Result<(), Error> {
        for (key, quota) in keys {
            match self.limiter.take(key, quota).await {
                Ok(Decision::Allowed) => {
                    if let Some(failures) = self.outage.ended() {
                        tracing::info!(failures, "attempts are counted again");
                    }
                }
                Ok(Decision::Refused { retry_after }) => return Err(Error::TooManyAttempts { retry_after }),
                // Honest people are not kept out because nobody counts.
                Err(error) => {
                    if let Some(failures) = self.outage.failed() {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, failures, "attempts are not counted");
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes back what an attempt with the right password counted, and forgets the wrong ones of its account.
    pub(super) async fn was_right(&self, attempt: &Attempt) {
        let forgotten = join_all(attempt.pair.iter().chain([&attempt.account]).map(|key| self.limiter.reset(key)));
        let given_back = join_all(attempt.address.iter().map(|key| self.limiter.give_back(key, ADDRESS)));
        let (forgotten, given_back) = futures::join!(forgotten, given_back);
        still_counts(forgotten.into_iter().chain(given_back));
    }

    /// Takes back what an attempt counted that nobody looked at: it says nothing about who made it.
    pub(super) async fn was_not_verified(&self, attempt: &Attempt) {
        let given_back = attempt.keys().map(|(key, quota)| self.limiter.give_back(key, quota));
        still_counts(join_all(given_back).await);
    }
}

fn still_counts(results: impl IntoIterator<Item = Result<(), limit::Error>>) {
    for error in results.into_iter().filter_map(Result::err) {
        tracing::debug!(error = &error as &dyn std::error::Error, "an attempt to log in still counts");
    }
}

impl Attempt {
    fn new(email: Option<&Email>, client: Option<IpAddr>) -> Self {
        let account = fingerprint(email);
        let address = client.map(network);
        Self {
            pair: address.as_ref().map(|address| format!("login/pair/{account}/{address}")),
            address: address.map(|address| format!("login/address/{address}")),
            account: format!("login/account/{account}"),
        }
    }

    /// In this order: what one place guesses about one account counts against nothing else.
    fn keys(&self) -> impl Iterator<Item = (&str, Quota)> {
        let pair = self.pair.iter().map(|key| (key.as_str(), PAIR));
        let address = self.address.iter().map(|key| (key.as_str(), ADDRESS));
        pair.chain(address).chain([(self.account.as_str(), ACCOUNT)])
    }
}

/// What stands for an address of an account: nobody reads those in a cache, or in its backup.
fn fingerprint(email: Option<&Email>) -> String {
    let typed = email.map_or_else(String::new, Email::normalized);
    hex::encode(&digest(&SHA256, typed.as_bytes()).as_ref()[..16])
}

/// What one customer of a provider is given: an address, or 64 bits of one (RFC 6177).
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => hex::encode(&address.octets()[..8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(email: &str, client: &str) -> Vec<String> {
        let attempt = Attempt::new(Email::parse(email).ok().as_ref(), client.parse().ok());
        attempt.keys().map(|(key, _)| key.to_owned()).collect()
    }

    #[test]
    fn letter_case_and_the_rest_of_a_network_do_not_make_another() {
        assert_eq!(keys("Ada@example.com", "2001:db8:1:2::3"), keys("ada@EXAMPLE.com", "2001:db8:1:2:ffff::4"));
        assert_eq!(keys("ada@example.com", "::ffff:192.0.2.1"), keys("ada@example.com", "192.0.2.1"));
        assert_ne!(keys("ada@example.com", "192.0.2.1"), keys("ada@example.com", "192.0.2.2"));
        assert_ne!(keys("ada@example.com", "192.0.2.1"), keys("eve@example.com", "192.0.2.1"));
    }

    #[test]
    fn no_key_shows_an_address_of_an_account() {
        assert!(keys("ada@example.com", "192.0.2.1").iter().all(|key| !key.contains("ada")));
        assert_eq!(keys("ada@example.com", "").len(), 1, "without an address it counts for the account");
    }

    #[tokio::test(start_paused = true)]
    async fn mails_have_a_limit_in_all() {
        let attempts = Attempts::new(Arc::new(limit::Memory::default()));
        let begun = tokio::time::Instant::now();
        for _ in 0..MAIL_ALL.burst {
            attempts.mail_turn().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        attempts.mail_turn().await;
        assert!(begun.elapsed() >= MAIL_ALL.refill);
    }

    #[test]
    fn an_account_is_tried_a_hundred_times_in_an_hour_at_most() {
        let refilled = 3_600 / ACCOUNT.refill.as_secs();
        assert!(u64::from(ACCOUNT.burst) + refilled <= 100);
    }
}
