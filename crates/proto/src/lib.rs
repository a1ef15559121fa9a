#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

/// Every file descriptor, encoded, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Package `user`.
pub mod user {
    /// Version 1.
    #[allow(clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)] // generated code
    pub mod v1 {
        tonic::include_proto!("user.v1");
    }
}

/// Package `payment`.
pub mod payment {
    /// Version 1.
    #[allow(clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)] // generated code
    pub mod v1 {
        tonic::include_proto!("payment.v1");
    }
}
