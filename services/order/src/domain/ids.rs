//! Ids, each of its own type.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id! {
    /// An order.
    OrderId
}
id! {
    /// A product of the catalogue.
    ProductId
}
id! {
    /// An account of the user service.
    UserId
}

impl OrderId {
    /// Derives the id of the order that `user` places under an idempotency key,
    /// so that a retry meets the stored order: a `UUIDv8` of the first 16 bytes of
    /// SHA-256(user id ‖ 0 ‖ key).
    pub fn derive(user: UserId, key: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(user.0.as_bytes());
        hash.update(&[0]);
        hash.update(key.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_depends_on_user_and_key_alone() {
        let (a, b) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        assert_eq!(OrderId::derive(a, "k"), OrderId::derive(a, "k"));
        assert_ne!(OrderId::derive(a, "k"), OrderId::derive(a, "l"));
        assert_ne!(OrderId::derive(a, "k"), OrderId::derive(b, "k"));
        assert_eq!(OrderId::derive(a, "k").0.get_version_num(), 8);
    }
}
