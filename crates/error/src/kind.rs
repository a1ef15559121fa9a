//! The kinds of failure and what each means in HTTP and gRPC.

use ::http::StatusCode;
use tonic::Code;

/// What went wrong, as far as a caller has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be read: 400.
    Malformed,
    /// The request reads but does not fit: 422.
    Invalid,
    /// Nobody, or not who they say: 401.
    Unauthenticated,
    /// Somebody, but not allowed: 403.
    Forbidden,
    /// There is no such thing, or none that the caller may see: 404.
    NotFound,
    /// The thing does not take this method: 405.
    MethodNotAllowed,
    /// There is one already: 409.
    AlreadyExists,
    /// The thing's state does not allow it: 409.
    Conflict,
    /// The caller's version is stale: 412.
    Precondition,
    /// The caller has to say which version is meant: 428.
    PreconditionRequired,
    /// More bytes than are taken: 413.
    TooLarge,
    /// A content type that is not taken: 415.
    UnsupportedMedia,
    /// The caller asks too often: 429.
    RateLimited,
    /// The time given was not enough: 504.
    Timeout,
    /// Something that is needed is down: 503.
    Unavailable,
    /// There is too much to do: 503, and `RESOURCE_EXHAUSTED` in gRPC.
    Overloaded,
    /// Our own mistake: 500.
    Internal,
}

impl Kind {
    /// Every kind, for tests and tables.
    pub const ALL: [Kind; 17] = [
        Kind::Malformed,
        Kind::Invalid,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::AlreadyExists,
        Kind::Conflict,
        Kind::Precondition,
        Kind::PreconditionRequired,
        Kind::TooLarge,
        Kind::UnsupportedMedia,
        Kind::RateLimited,
        Kind::Timeout,
        Kind::Unavailable,
        Kind::Overloaded,
        Kind::Internal,
    ];

    /// Returns the HTTP status.
    pub fn http(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AlreadyExists | Self::Conflict => StatusCode::CONFLICT,
            Self::Precondition => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the gRPC code.
    pub fn grpc(self) -> Code {
        match self {
            Self::Malformed | Self::Invalid | Self::PreconditionRequired | Self::UnsupportedMedia => {
                Code::InvalidArgument
            }
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::NotFound => Code::NotFound,
            Self::MethodNotAllowed => Code::Unimplemented,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict | Self::Precondition => Code::FailedPrecondition,
            Self::TooLarge => Code::OutOfRange,
            Self::RateLimited | Self::Overloaded => Code::ResourceExhausted,
            Self::Timeout => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// Returns the gRPC code's name, as google/rpc/code.proto writes it.
    pub fn grpc_name(self) -> &'static str {
        match self.grpc() {
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::NotFound => "NOT_FOUND",
            Code::Unimplemented => "UNIMPLEMENTED",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::OutOfRange => "OUT_OF_RANGE",
            Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Code::Unavailable => "UNAVAILABLE",
            _ => "INTERNAL",
        }
    }

    /// Says whether the caller has to change something; such failures are logged at INFO, the others at ERROR.
    pub fn is_client_fault(self) -> bool {
        self.http().is_client_error()
    }

    /// Says whether the same call may do better later, provided that it is safe to repeat.
    pub fn may_retry(self) -> bool {
        matches!(self, Self::RateLimited | Self::Timeout | Self::Unavailable | Self::Overloaded)
    }

    /// Returns the kind of a response from a gRPC server.
    ///
    /// `UNIMPLEMENTED` is [`Kind::Internal`]: a caller that meets it was built against another interface.
    /// `CANCELLED` is [`Kind::Timeout`]: tonic reports its own expired timeouts so.
    pub fn of_grpc(code: Code) -> Kind {
        match code {
            Code::InvalidArgument => Self::Invalid,
            Code::OutOfRange => Self::TooLarge,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::Conflict,
            Code::Aborted => Self::Precondition,
            Code::ResourceExhausted => Self::RateLimited,
            Code::DeadlineExceeded | Code::Cancelled => Self::Timeout,
            Code::Unavailable => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Self::Internal,
        }
    }

    /// Returns the kind of a response from an HTTP server; a status that is no failure is [`Kind::Internal`].
    pub fn of_http(status: StatusCode) -> Kind {
        match status {
            StatusCode::UNPROCESSABLE_ENTITY => Self::Invalid,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::GONE => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PRECONDITION_FAILED => Self::Precondition,
            StatusCode::PRECONDITION_REQUIRED => Self::PreconditionRequired,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMedia,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            other if other.is_client_error() => Self::Malformed,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_back_keeps_the_status() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_http(kind.http()).http(), kind.http(), "{kind:?}");
        }
    }

    #[test]
    fn grpc_and_back_keeps_the_code_where_one_is_passed_on() {
        for kind in Kind::ALL {
            if kind != Kind::MethodNotAllowed {
                assert_eq!(Kind::of_grpc(kind.grpc()).grpc(), kind.grpc(), "{kind:?}");
            }
        }
    }

    #[test]
    fn every_grpc_code_has_a_kind_and_only_what_may_pass_is_retried() {
        let again: Vec<i32> = (0..=16).filter(|code| Kind::of_grpc(Code::from_i32(*code)).may_retry()).collect();
        let expected = [Code::Cancelled, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Unavailable];
        assert_eq!(again, expected.map(|code| code as i32));
    }

    #[test]
    fn a_client_fault_is_a_4xx() {
        let ours: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !kind.is_client_fault()).collect();
        assert_eq!(ours, [Kind::Timeout, Kind::Unavailable, Kind::Overloaded, Kind::Internal]);
    }
}
