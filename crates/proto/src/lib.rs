#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

/// Package `user`.
pub mod user {
    /// Its file descriptors, encoded, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/user.bin"));

    /// Version 1.
    #[allow(clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)] // generated code
    pub mod v1 {
        tonic::include_proto!("user.v1");
    }
}

/// Package `payment`.
pub mod payment {
    /// Its file descriptors, encoded, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/payment.bin"));

    /// Version 1.
    #[allow(clippy::pedantic, missing_docs, unreachable_pub, unused_qualifications)] // generated code
    pub mod v1 {
        tonic::include_proto!("payment.v1");
    }
}
