//! The outside: gRPC, the provider's webhook and events, translated to use cases and back.

pub mod events;
pub mod grpc;
pub mod http;
