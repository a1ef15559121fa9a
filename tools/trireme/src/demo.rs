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
    output.line(&format!("\n{}", bold("Everything stays up. Its interfaces, to read and to try:")));
    for line in addresses(state) {
        output.line(&line);
    }
    for service in &state.services {
        output.line(&format!("  {}/docs", service.addresses.http));
        if service.name == Service::Order {
            output.line(&format!("  {}/graphql", service.addresses.http));
        }
    }
    output.line(&format!("\n{}", bold("In another terminal:")));
    for command in commands(data, state) {
        output.line(&format!("    {command}"));
    }
    output.line(&format!("  {}", dim("# the last one kills payment: watch it come back, and order on meanwhile")));
    output.line(&format!("  logs in {}; Ctrl-C stops everything", data.join("logs").display()));
}

/// Lines for a shell, each of which works as it stands after the ones before it.
fn commands(data: &Data, state: &State) -> Vec<String> {
    let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    let at = data.path().display();
    let pid = state.service(Service::Payment).and_then(|service| service.pid).unwrap_or_default();
    vec![
        format!("eval \"$('{program}' env --data '{at}')\""),
        "curl -s \"$ORDER_URL/v1/products?query=mug&limit=3\"".to_owned(),
        format!("TOKEN=\"$(trireme token me@example.org --data '{at}')\""),
        "curl -s \"$ORDER_URL/v1/orders\" -H \"authorization: Bearer $TOKEN\" -H \"idempotency-key: $RANDOM\" \\\n      \
         -H 'content-type: application/json' \\\n      \
         -d '{\"items\":[{\"product_id\":\"'\"$PRODUCT\"'\",\"quantity\":1}],\"payment_token\":\"tok_ok\"}'"
            .to_owned(),
        "curl -s \"$ORDER_URL/v1/orders\" -H \"authorization: Bearer $TOKEN\"".to_owned(),
        "curl -s \"$ORDER_URL/graphql\" -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\\n      \
         -d '{\"query\":\"{ orders(first: 3) { edges { node { id status customer { name } } } } }\"}'"
            .to_owned(),
        format!("kill -9 {pid}"),
    ]
}
