//! Every problem that a client can meet. Its name is part of the public interface: names are added, never changed.

use crate::Kind;

/// Makes the enum and its table from one list, so that no problem is without its words.
macro_rules! problems {
    ($($variant:ident: $kind:ident, $name:literal, $title:literal, $meaning:literal, $remedy:literal;)+) => {
        /// What a client meets and can act on, under a name that stays: the problem types of RFC 9457.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Problem {
            $(#[doc = concat!($title, ".")] $variant,)+
        }

        impl Problem {
            /// Every problem, in the order of their statuses.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$variant => &Entry {
                        kind: Kind::$kind, name: $name, title: $title, meaning: $meaning, remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

/// What is written about a problem.
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Lower case, words joined by hyphens.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Lower case and without a full stop, as a `detail` is: what is shown where nothing more is known.
    pub(crate) meaning: &'static str,
    /// Sentences: what a client does about it.
    pub(crate) remedy: &'static str,
}

problems! {
    MalformedBody: Malformed, "malformed-body", "The body cannot be read",
        "the body is not one JSON document in UTF-8, or not all of it arrived",
        "Send JSON as RFC 8259 has it. `detail` says at which line and column the reading ended.";
    MalformedHeader: Malformed, "malformed-header", "A header is missing or cannot be read",
        "a header that the operation needs is missing, is given twice, or is not of its form",
        "`errors` names the header. An `Idempotency-Key` is 1 to 255 visible ASCII characters, new for each command and \
         the same for its retries; `If-Match` and `If-None-Match` take `*` or entity tags in quotes.";
    MalformedParameter: Malformed, "malformed-parameter", "A query parameter cannot be used",
        "a parameter of the query is not known, is given twice, or is out of its range",
        "`errors` names the parameters. A cursor is the `next_cursor` of the same list, unchanged.";
    BadRequest: Malformed, "bad-request", "The request cannot be read",
        "the request is not one that HTTP allows",
        "Do not send it again as it is. A request needs exactly one valid `Host`.";
    InvalidDocument: Malformed, "invalid-document", "The GraphQL document cannot be executed",
        "the document does not parse, or asks for what the schema does not have",
        "Compare it with the schema, docs/graphql/schema.graphql. `locations` says where in the document it is.";
    DocumentTooComplex: Malformed, "document-too-complex", "The GraphQL document asks for too much",
        "the document is larger, deeper or costs more than what is executed",
        "Ask for less at once: a smaller page, fewer fields, fewer aliases. `message` says what there is too much of.";

    TokenMissing: Unauthenticated, "token-missing", "An access token is needed",
        "the request has no bearer token",
        "Log in at `POST /v1/sessions` and send `Authorization: Bearer` with the access token.";
    TokenExpired: Unauthenticated, "token-expired", "The access token has expired",
        "access tokens live for minutes, and this one's are over",
        "Get a new one at `POST /v1/sessions/refresh` and repeat the request.";
    TokenInvalid: Unauthenticated, "token-invalid", "The access token does not count",
        "the token is not one of ours, or its account is not there any more",
        "Log in again.";
    TicketInvalid: Unauthenticated, "ticket-invalid", "The ticket does not count",
        "the ticket is not one of ours, is older than 30 s, or was used before",
        "Ask for another one with an access token. Each is good for one stream.";
    WrongCredentials: Unauthenticated, "wrong-credentials", "The e-mail address or the password is wrong",
        "no open account has this address with this password",
        "Ask the person to type both again. Which of the two is wrong is told to nobody.";
    RefreshTokenInvalid: Unauthenticated, "refresh-token-invalid", "The refresh token does not count",
        "the refresh token is unknown, expired, revoked or used, or its account is closing",
        "Log in again. A refresh token that is used twice ends its session, since one of the two users may be a thief.";
    CredentialInvalid: Unauthenticated, "credential-invalid", "A service's credential is needed",
        "this is for services, which show the credential that they share",
        "Give every service the same `service.credential_file`. People have no business here.";
    SignatureInvalid: Unauthenticated, "signature-invalid", "The webhook's signature does not count",
        "the signature is missing, was made with another key, or its time is more than 5 minutes off",
        "Sign `<t>.<raw body>` with the key that was agreed on, and set the clock.";

    Forbidden: Forbidden, "forbidden", "This is not allowed",
        "the caller is known and may not do this",
        "Do not send it again as it is.";
    OperatorRequired: Forbidden, "operator-required", "Only an operator may do this",
        "the token's role is not `operator`",
        "Use an operator's account. A role that was granted counts from the next token on.";
    OriginNotAllowed: Forbidden, "origin-not-allowed", "Pages of this origin may not connect",
        "the `Origin` is neither our own nor in `cors.origins`",
        "Serve the page from an origin that the operator has allowed.";
    PasswordRequired: Forbidden, "password-required", "The current password is needed",
        "whoever changes this shows the current password, because a token alone may be stolen",
        "Ask the person for it and send it as `current_password`.";
    WrongPassword: Forbidden, "wrong-password", "The current password is wrong",
        "the password that was sent as `current_password` is not that of the account",
        "Ask the person to type it again. Attempts are counted as those to log in are.";
    OwnerRequired: Forbidden, "owner-required", "Only the owner may do this",
        "the account is another person's, which operators may read and nobody else may change",
        "Let the owner do it.";
    AccountClosing: Forbidden, "account-closing", "The account is closing or closed",
        "from the closing on the account's tokens may only read and repeat the closing",
        "Open a new account. A closing cannot be taken back.";
    AccountDisabled: Forbidden, "account-disabled", "The account is disabled",
        "an operator keeps its owner out, and its tokens may only read",
        "Ask the shop.";
    OwnAccount: Forbidden, "own-account", "Not with one's own account",
        "an operator asked to disable or enable the account that the token speaks for",
        "Let another operator do it.";
    DocumentNotAllowed: Forbidden, "document-not-allowed", "The document is not on the list",
        "only documents that the operator has listed are executed",
        "Have it added to `graphql.safelist`.";
    CallerNotAllowed: Forbidden, "caller-not-allowed", "This service may not call here",
        "the credential is good, but this call is for another service",
        "Do not call it.";

    NotFound: NotFound, "not-found", "There is no such thing",
        "nothing has this id, or it is not the caller's to see",
        "Check the id, and whose token it is. The two cases are not told apart.";
    RouteNotFound: NotFound, "route-not-found", "There is nothing at this address",
        "there is nothing at this address",
        "Compare the path with `/docs`. Paths have no trailing slash.";
    PersistedQueryNotFound: NotFound, "persisted-query-not-found", "The document is not known by its hash",
        "no document with this hash was sent lately",
        "Send the hash together with the document; both are remembered.";
    MethodNotAllowed: MethodNotAllowed, "method-not-allowed", "This address does not take this method",
        "this address does not take this method",
        "`Allow` lists the methods that it takes.";

    EmailTaken: AlreadyExists, "email-taken", "The e-mail address is taken",
        "an account has this address already, perhaps in another spelling of the same mailbox",
        "Log in instead, or use another address.";
    SkuTaken: AlreadyExists, "sku-taken", "The sku is taken",
        "another product has this article number",
        "Use another sku, or change the product that has it.";
    PaymentDiffers: AlreadyExists, "payment-differs", "The order has another payment",
        "the order has a payment of another amount, currency or user already",
        "Do not repeat it. One order has one payment; `errors` names what differs.";
    InsufficientStock: Conflict, "insufficient-stock", "Not enough in stock",
        "at least one line asks for more than there is; nothing was reserved",
        "`errors` has a pointer for each line and says how much there is. Order less, or try again when it was restocked.";
    StatusConflict: Conflict, "status-conflict", "The status does not allow it",
        "what the order or payment has become does not allow this any more, or not yet",
        "Read it again and decide by its `status`.";
    VersionMismatch: Precondition, "version-mismatch", "Somebody else has changed it",
        "the version in `If-Match` is not the one that is stored",
        "Read it again, make the change on what it is now, and send the new `ETag`.";
    BodyTooLarge: TooLarge, "body-too-large", "The body is too large",
        "the body is larger than what is taken",
        "Send at most 1 MiB.";
    UnsupportedMediaType: UnsupportedMedia, "unsupported-media-type", "The body's type is not taken",
        "the body's content type or coding is not taken",
        "Send `Content-Type: application/json` in UTF-8, not compressed.";

    InvalidFields: Invalid, "invalid-fields", "Some fields do not fit",
        "the request reads well but has unknown, missing or unfit fields",
        "`errors` has a pointer (RFC 6901) and the reason for each of them. Correct all of them and send it again.";
    MailTokenInvalid: Invalid, "mail-token-invalid", "The token from the mail does not count",
        "the token is not known, was used, is too old, or its account has changed since",
        "Ask for another mail.";
    IdempotencyKeyReused: Invalid, "idempotency-key-reused", "The idempotency key was used for something else",
        "the same key came with another body before",
        "Use a new key for a new command. To repeat the old one send its own body.";
    UnknownProduct: Invalid, "unknown-product", "The catalogue does not have a product",
        "a line of the order names a product that is not in the catalogue",
        "`errors` points at the lines. Take them out, or read the catalogue again.";
    DuplicateProduct: Invalid, "duplicate-product", "A product is in the order twice",
        "two lines of the order name the same product",
        "Add their quantities up in one line.";
    MixedCurrencies: Invalid, "mixed-currencies", "The order mixes currencies",
        "the products of one order cost different currencies",
        "Place one order for each currency.";
    TotalTooLarge: Invalid, "total-too-large", "The order's total is too large",
        "the lines add up to more than can be paid for",
        "Split the order.";
    UnknownPaymentToken: Invalid, "unknown-payment-token", "The payment token is not known",
        "the payment provider does not know the token",
        "Get a new token from the provider.";
    StockLimitExceeded: Invalid, "stock-limit-exceeded", "More than may be in stock",
        "with this quantity there would be more than 1,000,000,000 in stock",
        "Restock less.";

    VersionRequired: PreconditionRequired, "version-required", "`If-Match` is missing",
        "a change has to say which version it was made on",
        "Read the resource and send its `ETag` as `If-Match`; `*` changes it whatever its version is.";
    RateLimited: RateLimited, "rate-limited", "Too many attempts",
        "this was tried too often of late",
        "Wait for as long as `Retry-After` says. The right password waits, too.";
    TooManyStreams: RateLimited, "too-many-streams", "The account has too many streams open",
        "the account has as many streams open as `streams.max_per_account` says",
        "Close one, or share one between the account's pages.";
    StreamBehind: RateLimited, "stream-behind", "More has happened than was read",
        "the client takes less than there is to tell",
        "Subscribe again after the last `cursor`: nothing is lost while it is kept.";

    Internal: Internal, "internal", "Something went wrong on our side",
        "something went wrong on our side",
        "Tell us the trace id of `instance`. Commands with an `Idempotency-Key` can be repeated safely.";
    Overloaded: Overloaded, "overloaded", "There is too much to do",
        "there is too much to do at the moment",
        "Nothing was done. Wait for as long as `Retry-After` says, and longer after each further refusal.";
    Unavailable: Unavailable, "unavailable", "Something that is needed is down",
        "something that this request needs is not available at the moment",
        "Wait for as long as `Retry-After` says and repeat it; a command under its `Idempotency-Key`.";
    DeadlineExceeded: Timeout, "deadline-exceeded", "It took too long",
        "the request took longer than it had time for",
        "Whether it was done is not known: repeat a command under its `Idempotency-Key`, or read what became of it.";
}
