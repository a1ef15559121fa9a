//! Use cases, and what goes on in the background.

use super::spans;
use crate::{Span, SpanKind, Stability, attributes};

spans! {
    in "services/user" {
        "service.register", Own, Internal, "An account is made.", [USER_ID];
        "service.log_in", Own, Internal, "A password is checked.", [USER_ID];
        "service.refresh", Own, Internal, "A session goes on.", [USER_ID];
        "service.log_out", Own, Internal, "A session ends.", [USER_ID];
        "service.revoke_session", Own, Internal, "Another session ends.", [USER_ID];
        "service.list_sessions", Own, Internal, "Sessions are listed.", [USER_ID];
        "service.get_user", Own, Internal, "An account is read.", [USER_ID];
        "service.get_users", Own, Internal, "Some accounts are read.", [];
        "service.update_user", Own, Internal, "An account is changed.", [USER_ID];
        "service.change_password", Own, Internal, "A password is changed.", [USER_ID];
        "service.request_password_reset", Own, Internal, "A mail for another password is asked for.", [];
        "service.reset_password", Own, Internal, "A password is set by the token of a mail.", [];
        "service.request_verification", Own, Internal, "A mail for an address is asked for.", [USER_ID];
        "service.verify_email", Own, Internal, "An address is confirmed.", [];
        "service.send_mail", Own, Internal, "A mail is sent, in the background. Under the request that asked for it.", [USER_ID, CANARY];
        "service.set_disabled", Own, Internal, "An operator disables or enables an account.", [USER_ID, OPERATOR_ID];
        "service.close_account", Own, Internal, "An account begins to close.", [USER_ID];
        "service.settle_closing", Own, Internal, "A closing goes on, in the background: a trace of its own, linked to the request that began it.", [USER_ID, CANARY];
        "service.count_order", Own, Internal, "An order is counted.", [USER_ID];
        "service.notify", Own, Internal, "A mail to the owner of an account is recorded.", [USER_ID];
        "service.send_notification", Own, Internal, "A mail that was recorded is sent, by a task.", [USER_ID];
    }
    in "services/order" {
        "place_order", Own, Internal, "An order is placed.", [ORDER_ID];
        "cancel_order", Own, Internal, "An order is cancelled.", [ORDER_ID];
        "fulfil_order", Own, Internal, "An order is fulfilled.", [ORDER_ID];
        "advance", Own, Internal, "An order's saga goes on.", [ORDER_ID];
        "order.follow_up", Own, Internal, "An order's saga goes on, in the background. Under the request that changed the order.", [ORDER_ID, CANARY];
        "order.sweep", Own, Internal, "An order that nobody carried on: a trace of its own, linked to the request that placed it.", [ORDER_ID, CANARY];
        "order", Own, Internal, "An order is read.", [ORDER_ID];
        "list_orders", Own, Internal, "Orders are listed.", [];
        "watch_orders", Own, Internal, "A stream of live events begins.", [];
        "product", Own, Internal, "A product is read.", [PRODUCT_ID];
        "list_products", Own, Internal, "Products are listed.", [];
        "create_product", Own, Internal, "A product is added.", [];
        "change_product", Own, Internal, "A product is changed.", [PRODUCT_ID];
        "restock_product", Own, Internal, "A product's stock is added to.", [PRODUCT_ID];
        "customer", Own, Internal, "The customer of an order is read.", [];
        "close_account", Own, Internal, "An account's orders are cancelled.", [USER_ID];
    }
    in "services/payment" {
        "payment.check_token", Own, Internal, "The provider is asked for a token.", [];
        "payment.authorize", Own, Internal, "A payment is authorized.", [ORDER_ID];
        "payment.capture", Own, Internal, "A payment is captured.", [ORDER_ID];
        "payment.void", Own, Internal, "A payment is voided.", [ORDER_ID];
        "payment.refund", Own, Internal, "A payment is refunded.", [ORDER_ID];
        "payment.resolve", Own, Internal, "The outcome of an open intent is looked up: a trace of its own, linked to the request that left it open.", [ORDER_ID, CANARY];
        "payment.reconcile", Own, Internal, "What a webhook says is compared with what is stored.", [ORDER_ID];
        "payment.get", Own, Internal, "A payment is read.", [PAYMENT_ID];
        "payment.list", Own, Internal, "The payments of an order are read.", [ORDER_ID];
        "payment.audit", Own, Internal, "The ledger is added up.", [];
    }
}
