//! An error as a gRPC status with the standard details.

use std::{collections::HashMap, sync::Arc};

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::Error;

/// The file descriptors of the details that a status carries (google.rpc), encoded: by reflection a client can read them.
pub const DETAIL_DESCRIPTORS: &[u8] = tonic_types::pb::FILE_DESCRIPTOR_SET;

/// Whose names the reasons of google.rpc.ErrorInfo are.
const DOMAIN: &str = "trireme";

impl From<Error> for Status {
    /// Makes the status: the problem as `ErrorInfo`, the fields at fault as `BadRequest`, the time to come back as
    /// `RetryInfo`.
    /// The error itself is the status' source, for the log.
    fn from(error: Error) -> Self {
        let fields: Vec<FieldViolation> = error
            .violations()
            .iter()
            .map(|violation| FieldViolation::new(violation.location.field_path(), &violation.detail))
            .collect();
        let mut details = ErrorDetails::new();
        details.set_error_info(error.problem().code(), DOMAIN, HashMap::new());
        if !fields.is_empty() {
            details.set_bad_request(fields);
        }
        if let Some(after) = error.retry_delay() {
            details.set_retry_info(Some(after));
        }
        let (code, message) = (error.kind().grpc(), error.detail().to_owned());
        let mut status = Status::with_error_details(code, message, details);
        status.set_source(Arc::new(error));
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Location, Problem};
    use std::error::Error as _;
    use std::time::Duration;
    use tonic::Code;

    #[test]
    fn fields_become_a_bad_request() {
        let status = Status::from(Error::invalid_field("/items/0/quantity", "must be at least 1"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let fields = &details.bad_request().unwrap().field_violations;
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].field, "items[0].quantity");
        assert_eq!(fields[0].description, "must be at least 1");
    }

    #[test]
    fn the_problem_is_the_reason() {
        let status = Status::from(Error::new(Problem::InsufficientStock, "not enough in stock"));
        assert_eq!(status.code(), Code::FailedPrecondition);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((&*info.reason, &*info.domain), ("INSUFFICIENT_STOCK", "trireme"));
    }

    #[test]
    fn a_time_to_come_back_becomes_a_retry_info() {
        let error = Error::new(Problem::RateLimited, "too many").retry_after(Duration::from_secs(3));
        let status = Status::from(error);
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
    }

    #[test]
    fn our_own_mistake_is_kept_for_the_log() {
        let status = Status::from(Error::internal("disk full"));
        assert_eq!(status.message(), "something went wrong on our side");
        assert!(!String::from_utf8_lossy(status.details()).contains("disk"));
        let error = status.source().unwrap().downcast_ref::<Error>().unwrap();
        assert!(error.chain().contains("disk full"));
    }

    #[test]
    fn a_header_keeps_its_name() {
        let error =
            Error::new(Problem::MalformedHeader, "no").at(Location::Header("grpc-timeout".into()), "cannot be read");
        let details = Status::from(error).get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "grpc-timeout");
    }
}
