//! The story that `trireme demo` tells, over the public HTTP interface and nothing else.

mod story;

pub(crate) use story::Story;

use crate::{
    data::Data,
    output::{Output, addresses, bold, dim},
    service::Service,
    state::State,
};

/// What to try next.
pub(crate) fn farewell(data: &Data, state: &State, output: &Output) {
    let http = |name| state.service(name).map(|service| service.addresses.http.as_str()).unwrap_or_default();
    let (user, order) = (http(Service::User), http(Service::Order));
    output.line(&format!("\n{}", bold("Everything stays up. Try it:")));
    for line in addresses(state) {
        output.line(&line);
    }
    let json = "-H 'content-type: application/json'";
    let commands = [
        format!("curl -s '{order}/v1/products?query=mug&limit=3'"),
        format!(
            "curl -s {user}/v1/users {json} -d '{{\"email\":\"me@example.org\",\"name\":\"Me\",\"password\":\"correct horse\"}}'"
        ),
        format!(
            "curl -s {user}/v1/sessions {json} -d '{{\"email\":\"me@example.org\",\"password\":\"correct horse\"}}'"
        ),
        format!(
            "curl -s {order}/v1/orders -H \"authorization: Bearer $TOKEN\" -H 'idempotency-key: 1' {json} \\\n      \
             -d '{{\"items\":[{{\"product_id\":\"'$PRODUCT'\",\"quantity\":1}}],\"payment_token\":\"tok_ok\"}}'"
        ),
        format!("kill -9 {}", state.service(Service::Payment).and_then(|service| service.pid).unwrap_or_default()),
    ];
    for command in commands {
        output.line(&format!("    {command}"));
    }
    output.line(&format!("  {}", dim("# the last one kills payment: watch it come back, and order on meanwhile")));
    output.line(&format!("  logs in {}; Ctrl-C stops everything", data.join("logs").display()));
}
