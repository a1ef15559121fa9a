//! Tickets: what a page shows that opens a stream, since browsers send no `Authorization` with it.
//!
//! A ticket stands in an address, and so perhaps in logs. It is good for one stream, for half a minute, and for nothing
//! else. Every process can read it: what it says is in it, signed. How old it is, and that it is used once, is known where the
//! limiter counts, which is one clock for all processes.

use std::{sync::Arc, time::Duration};

use auth::{Identity, Role};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use clock::SharedClock;
use limit::{Decision, Limiter, Quota};
use time::OffsetDateTime;
use uuid::{Uuid, fmt::Simple};

use super::Error;

/// How long a ticket is good.
pub const TTL: Duration = Duration::from_secs(30);
/// Taken when a ticket is issued: as long as there is none again, it is good.
const ISSUED: Quota = Quota { burst: 1, refill: TTL };
/// Taken with a ticket's use, and not there again before it is too old.
const SPENT: Quota = Quota { burst: 1, refill: Duration::from_mins(3) };
/// The longest that is read, in bytes.
const MAX_LENGTH: usize = 512;

/// Issues tickets, and takes each once.
pub struct Tickets {
    key: hmac::Key,
    limiter: Arc<dyn Limiter>,
    clock: SharedClock,
}

impl Tickets {
    /// Signs with a key that is made of the services' secret; which tickets were issued and used is kept by the limiter,
    /// which all processes share.
    pub fn new(secret: &str, limiter: Arc<dyn Limiter>, clock: SharedClock) -> Self {
        let secret = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&secret, b"tickets of order's streams, 2");
        Self { key: hmac::Key::new(HMAC_SHA256, derived.as_ref()), limiter, clock }
    }

    /// Issues a ticket to somebody whose access token is good; the stream ends when the token does.
    ///
    /// # Errors
    /// The limiter cannot be asked.
    pub async fn issue(&self, identity: &Identity) -> Result<String, Error> {
        let Identity { user_id, role, session, expires_at } = identity;
        let (nonce, role, expires_at) = (Uuid::new_v4().simple(), role.as_str(), expires_at.unix_timestamp());
        let text = format!("{nonce}.{}.{}.{role}.{expires_at}", user_id.simple(), session.simple());
        let signature = hex::encode(hmac::sign(&self.key, text.as_bytes()));
        self.limiter.take(&issued(nonce), ISSUED).await?;
        Ok(format!("{text}.{signature}"))
    }

    /// Takes a ticket, once.
    ///
    /// # Errors
    /// It is none, is too old or was used before; or that cannot be known.
    pub async fn redeem(&self, ticket: &str) -> Result<Identity, Error> {
        let (nonce, identity) = self.read(ticket).ok_or(Error::TicketRefused)?;
        let used = format!("order:ticket:{nonce}");
        let spend = self.limiter.take(&used, SPENT);
        if identity.expires_at <= self.clock.now() || spend.await? != Decision::Allowed {
            return Err(Error::TicketRefused);
        }
        match self.limiter.take(&issued(nonce), ISSUED).await? {
            Decision::Refused { .. } => Ok(identity),
            Decision::Allowed => Err(Error::TicketRefused),
        }
    }

    fn read(&self, ticket: &str) -> Option<(Simple, Identity)> {
        let (text, signature) = ticket.rsplit_once('.').filter(|_| ticket.len() <= MAX_LENGTH)?;
        // Compared in constant time.
        hmac::verify(&self.key, text.as_bytes(), &hex::decode(signature).ok()?).ok()?;
        let mut words = text.split('.');
        let nonce = Uuid::try_parse(words.next()?).ok()?.simple();
        let (user_id, session) = (Uuid::try_parse(words.next()?).ok()?, Uuid::try_parse(words.next()?).ok()?);
        let (role, expires_at) = (Role::parse(words.next()?)?, instant(words.next()?)?);
        Some((nonce, Identity { user_id, role, session, expires_at }))
    }
}

fn issued(nonce: Simple) -> String {
    format!("order:ticket-issued:{nonce}")
}

fn instant(seconds: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use testkit::ManualClock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once_and_not_for_long() {
        let clock = ManualClock::at_now();
        let spent: Arc<dyn Limiter> = Arc::new(limit::Memory::default());
        let tickets = |secret| Tickets::new(secret, Arc::clone(&spent), clock.shared());
        let expires_at = OffsetDateTime::from_unix_timestamp(clock::Clock::now(&clock).unix_timestamp() + 600).unwrap();
        let (user_id, session) = (Uuid::new_v4(), Uuid::new_v4());
        let identity = Identity { user_id, role: Role::Customer, session, expires_at };
        let ours = tickets("secret");
        let ticket = ours.issue(&identity).await.unwrap();
        let refused =
            async |tickets: &Tickets, ticket: &str| matches!(tickets.redeem(ticket).await, Err(Error::TicketRefused));
        assert!(refused(&tickets("guess"), &ticket).await, "another's secret");
        assert!(refused(&ours, &ticket.replace("customer", "operator")).await, "changed");
        assert!(refused(&ours, "").await && refused(&ours, &"a".repeat(10_000)).await);
        // Another process, which shares the limiter.
        assert_eq!(tickets("secret").redeem(&ticket).await.unwrap(), identity);
        assert!(refused(&ours, &ticket).await, "used");
        let late = ours.issue(&identity).await.unwrap();
        tokio::time::advance(TTL).await;
        assert!(refused(&ours, &late).await && refused(&ours, &late).await, "too old, also the second time");
        tokio::time::advance(SPENT.refill).await;
        assert!(refused(&ours, &late).await, "when its use is forgotten");
        // The clocks of processes may differ by more than a ticket is good.
        let now = clock::Clock::now(&clock);
        clock.advance(Duration::from_mins(2));
        let ahead = ours.issue(&identity).await.unwrap();
        clock.set(now);
        assert_eq!(ours.redeem(&ahead).await.unwrap(), identity, "issued by a process whose clock is ahead");
        let behind = ours.issue(&identity).await.unwrap();
        clock.advance(Duration::from_mins(2));
        assert_eq!(ours.redeem(&behind).await.unwrap(), identity, "or behind");
    }
}
