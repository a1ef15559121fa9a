//! Tickets: what a page shows that opens a stream, since browsers send no `Authorization` with it.
//!
//! A ticket stands in an address, and so perhaps in logs. It is good for one stream, for half a minute, and for nothing
//! else. Every process can read it: what it says is in it, signed.

use std::{sync::Arc, time::Duration};

use auth::{Identity, Role};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use clock::SharedClock;
use limit::{Decision, Limiter, Quota};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Error;

/// How long a ticket is good.
pub const TTL: Duration = Duration::from_secs(30);
/// A ticket that was used is remembered for longer than it is good, by any clock.
const SPENT: Quota = Quota { burst: 1, refill: Duration::from_mins(3) };
/// The longest that is read, in bytes.
const MAX_LENGTH: usize = 512;

/// Issues tickets, and takes each once.
pub struct Tickets {
    key: hmac::Key,
    spent: Arc<dyn Limiter>,
    clock: SharedClock,
}

impl Tickets {
    /// Signs with a key that is made of the services' secret; which tickets were used is kept by the limiter, which all
    /// processes share.
    pub fn new(secret: &str, spent: Arc<dyn Limiter>, clock: SharedClock) -> Self {
        let secret = hmac::Key::new(HMAC_SHA256, secret.as_bytes());
        let derived = hmac::sign(&secret, b"tickets of order's streams, 1");
        Self { key: hmac::Key::new(HMAC_SHA256, derived.as_ref()), spent, clock }
    }

    /// Issues a ticket to somebody whose access token is good; the stream ends when the token does.
    pub fn issue(&self, identity: &Identity) -> String {
        let Identity { user_id, role, session, expires_at } = identity;
        let until = (self.clock.now() + TTL).unix_timestamp();
        let (nonce, role, expires_at) = (Uuid::new_v4().simple(), role.as_str(), expires_at.unix_timestamp());
        let text = format!("{nonce}.{until}.{}.{}.{role}.{expires_at}", user_id.simple(), session.simple());
        let signature = hex::encode(hmac::sign(&self.key, text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// Takes a ticket, once.
    ///
    /// # Errors
    /// It is none, is too old or was used before; or that cannot be known.
    pub async fn redeem(&self, ticket: &str) -> Result<Identity, Error> {
        let (nonce, until, identity) = self.read(ticket).ok_or(Error::TicketRefused)?;
        let now = self.clock.now();
        // Beyond the horizon it was issued under a clock that was wrong, and would outlast the memory of its use.
        if until <= now || until > now + clock::HORIZON || identity.expires_at <= now {
            return Err(Error::TicketRefused);
        }
        match self.spent.take(&format!("order:ticket:{nonce}"), SPENT).await? {
            Decision::Allowed => Ok(identity),
            Decision::Refused { .. } => Err(Error::TicketRefused),
        }
    }

    fn read<'a>(&self, ticket: &'a str) -> Option<(&'a str, OffsetDateTime, Identity)> {
        let (text, signature) = ticket.rsplit_once('.').filter(|_| ticket.len() <= MAX_LENGTH)?;
        // Compared in constant time.
        hmac::verify(&self.key, text.as_bytes(), &hex::decode(signature).ok()?).ok()?;
        let mut words = text.split('.');
        let nonce = words.next()?;
        let until = instant(words.next()?)?;
        let (user_id, session) = (Uuid::try_parse(words.next()?).ok()?, Uuid::try_parse(words.next()?).ok()?);
        let (role, expires_at) = (Role::parse(words.next()?)?, instant(words.next()?)?);
        Some((nonce, until, Identity { user_id, role, session, expires_at }))
    }
}

fn instant(seconds: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use testkit::ManualClock;

    use super::*;

    #[tokio::test]
    async fn a_ticket_is_good_once_and_not_for_long() {
        let clock = ManualClock::at_now();
        let spent: Arc<dyn Limiter> = Arc::new(limit::Memory::default());
        let tickets = |secret| Tickets::new(secret, Arc::clone(&spent), clock.shared());
        let expires_at = OffsetDateTime::from_unix_timestamp(clock::Clock::now(&clock).unix_timestamp() + 600).unwrap();
        let (user_id, session) = (Uuid::new_v4(), Uuid::new_v4());
        let identity = Identity { user_id, role: Role::Customer, session, expires_at };
        let ours = tickets("secret");
        let ticket = ours.issue(&identity);
        let refused =
            async |tickets: &Tickets, ticket: &str| matches!(tickets.redeem(ticket).await, Err(Error::TicketRefused));
        assert!(refused(&tickets("guess"), &ticket).await, "another's secret");
        assert!(refused(&ours, &ticket.replace("customer", "operator")).await, "changed");
        assert!(refused(&ours, "").await && refused(&ours, &"a".repeat(10_000)).await);
        // Another process, which shares the limiter.
        assert_eq!(tickets("secret").redeem(&ticket).await.unwrap(), identity);
        assert!(refused(&ours, &ticket).await, "used");
        let late = ours.issue(&identity);
        clock.advance(TTL);
        assert!(refused(&ours, &late).await, "too old");
        let now = clock::Clock::now(&clock);
        clock.advance(Duration::from_mins(5));
        let ahead = ours.issue(&identity);
        clock.set(now);
        assert!(refused(&ours, &ahead).await, "issued under a clock that was ahead");
    }
}
