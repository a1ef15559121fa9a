//! A hundred requests that ask for far more than anybody needs, each of which is refused. The benchmark sends them, too.

use serde_json::{Value, json};

/// What is wrong with each, and its body.
pub(crate) fn requests() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    deep(&mut all);
    wide(&mut all);
    fragments(&mut all);
    directives(&mut all);
    values(&mut all);
    variables(&mut all);
    all
}

type Requests = Vec<(String, Value)>;

fn push(all: &mut Requests, what: impl Into<String>, query: impl Into<String>) {
    all.push((what.into(), json!({ "query": query.into() })));
}

pub(crate) fn many(times: usize, one: impl Fn(usize) -> String) -> String {
    (0..times).map(one).collect()
}

fn deep(all: &mut Requests) {
    for levels in [17, 40, 99, 199, 4_000] {
        push(all, format!("{levels} levels"), format!("{{ a {}{} }}", "{ a ".repeat(levels), "}".repeat(levels)));
    }
    for levels in [17, 199, 2_000] {
        let inline = "... on Query { ".repeat(levels);
        push(all, format!("{levels} inline fragments"), format!("{{ {inline} a {} }}", "}".repeat(levels)));
    }
    for levels in [30, 190, 8_000] {
        let list = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        push(
            all,
            format!("a list of {levels} levels"),
            format!("{{ products(query: {list}) {{ edges {{ cursor }} }} }}"),
        );
        let object = format!("{}1{}", "{a: ".repeat(levels / 2), "}".repeat(levels / 2));
        push(
            all,
            format!("an object of {} levels", levels / 2),
            format!("{{ products(query: {object}) {{ edges {{ cursor }} }} }}"),
        );
        let of = format!("{}Int{}", "[".repeat(levels), "]".repeat(levels));
        push(all, format!("a type of {levels} levels"), format!("query($a: {of}) {{ me {{ id }} }}"));
    }
    for open in ["{", "{a", "(", "[", "{a(b:[", "query($a:[", "{a(b:\"", "\"\"\"", "#"] {
        push(all, format!("{open} without an end"), open.repeat(16 * 1024 / open.len()));
    }
    push(
        all,
        "a schema of many levels",
        format!("{{ __schema {{ types {{ {} }} }} }}", "ofType { ".repeat(14) + "name" + &" }".repeat(14)),
    );
}

fn wide(all: &mut Requests) {
    for fields in [501, 2_000, 5_000] {
        push(all, format!("{fields} times a field"), format!("{{ me {{ {} }} }}", "id ".repeat(fields)));
        push(
            all,
            format!("{fields} unknown fields"),
            format!("{{ me {{ {} }} }}", many(fields.min(3_000), |n| format!("f{n} "))),
        );
    }
    for aliases in [31, 100, 400, 1_000] {
        push(all, format!("{aliases} aliases"), format!("{{ {} }}", many(aliases, |n| format!("a{n}: me {{ id }} "))));
        push(all, format!("{aliases} times the same alias"), format!("{{ {} }}", "a: me { id } ".repeat(aliases)));
    }
    for lists in [5, 10, 30] {
        push(all, format!("{lists} full pages"), format!("{{ {} }}", many(lists, page)));
    }
    push(
        all,
        "20 commands",
        format!(
            "mutation {{ {} }}",
            many(21, |n| { format!("a{n}: cancelOrder(idempotencyKey: \"k\", id: \"{n}\") {{ order {{ id }} }} ") })
        ),
    );
    for operations in [2, 100, 600] {
        push(
            all,
            format!("{operations} operations, none of which is asked for"),
            many(operations, |n| format!("query Q{n} {{ me {{ id }} }} ")),
        );
    }
    push(all, "two subscriptions", "subscription { a: orderEvents { type } b: orderEvents { type } }");
    push(all, "16 KiB of comments", format!("# {}\n{{ me {{ id }} }}", "x".repeat(16 * 1024)));
    push(all, "commas", format!("{{ me {{ id {} }} }}", ",".repeat(16 * 1024)));
}

fn fragments(all: &mut Requests) {
    for length in [1, 2, 3, 10, 49] {
        let circle = many(length, |n| format!("fragment F{n} on Query {{ ...F{} }} ", (n + 1) % length));
        push(all, format!("a circle of {length} fragments"), format!("{{ ...F0 }} {circle}"));
        let below = many(length, |n| {
            format!("fragment F{n} on Query {{ me {{ id }} ...F{} ...F{} }} ", (n + 1) % length, (n + 1) % length)
        });
        push(all, format!("a circle of {length} fragments with fields"), format!("{{ ...F0 }} {below}"));
    }
    for links in [9, 20, 40, 49] {
        let link = many(links, |n| format!("fragment F{n} on Query {{ ...F{} ...F{} }} ", n + 1, n + 1));
        push(
            all,
            format!("fragments doubled {links} times"),
            format!("{{ ...F0 }} {link} fragment F{links} on Query {{ me {{ id }} }}"),
        );
        let levels = many(links, |n| format!("fragment F{n} on Order {{ customer {{ id }} ...F{} }} ", n + 1));
        push(
            all,
            format!("a chain of {links} fragments to nowhere"),
            format!("{{ order(id: \"1\") {{ ...F0 }} }} {levels}"),
        );
    }
    push(
        all,
        "51 fragments",
        format!("{{ me {{ id }} }} {}", many(51, |n| format!("fragment F{n} on Query {{ me {{ id }} }} "))),
    );
    push(
        all,
        "500 fragments",
        format!("{{ me {{ id }} }} {}", many(400, |n| format!("fragment F{n} on Query {{ a }} "))),
    );
    push(all, "a fragment 600 times", format!("{{ {} }} fragment F on Query {{ me {{ id }} }}", "...F ".repeat(600)));
}

fn directives(all: &mut Requests) {
    for times in [31, 300, 900] {
        push(
            all,
            format!("{times} directives on a field"),
            format!("{{ me {{ id {} }} }}", "@skip(if: 0) ".repeat(times)),
        );
        push(all, format!("{times} unknown directives"), format!("{{ me {{ id {} }} }}", "@a ".repeat(times)));
        push(
            all,
            format!("{times} directives on the operation"),
            format!("query {} {{ me {{ id }} }}", "@a ".repeat(times)),
        );
    }
    push(
        all,
        "directives on variables",
        format!("query({}) {{ me {{ id }} }}", many(100, |n| format!("$a{n}: Int @a "))),
    );
    push(
        all,
        "directives on a fragment",
        format!("{{ ...F {} }} fragment F on Query {} {{ me {{ id }} }}", "@a ".repeat(20), "@a ".repeat(20)),
    );
}

fn values(all: &mut Requests) {
    for number in
        ["99999999999999999999999999", "-99999999999999999999", "1e999", "1.0", &"9".repeat(10_000), "0x1", "01"]
    {
        let shown: String = number.chars().take(30).collect();
        push(all, format!("{shown} items"), format!("{{ products(first: {number}) {{ edges {{ cursor }} }} }}"));
    }
    let line = "{ productId: \"x\", quantity: 1 } ";
    let place = format!(
        "mutation {{ placeOrder(idempotencyKey: \"k\", input: {{ items: [{}], paymentToken: \"t\" }}) {{ replayed }} }}",
        line.repeat(190)
    );
    push(all, "190 lines of an order", place);
    push(
        all,
        "arguments",
        format!("{{ products({}) {{ edges {{ cursor }} }} }}", many(1_500, |n| format!("a{n}: 1 "))),
    );
    push(all, "a list", format!("{{ products(query: [{}]) {{ edges {{ cursor }} }} }}", "1 ".repeat(7_000)));
    push(all, "a string with escapes", format!("{{ order(id: \"{}\") {{ id }} }}", "\\u0041".repeat(2_700)));
}

fn variables(all: &mut Requests) {
    let products = "query($first: Int) { products(first: $first) { edges { cursor } } }";
    let mut deep = json!(1);
    for _ in 0..90 {
        deep = json!([deep]);
    }
    let lines: Vec<_> = (0..500).map(|_| json!({ "productId": "x", "quantity": 1 })).collect();
    let place = "mutation($input: PlaceOrderInput!) { placeOrder(idempotencyKey: \"k\", input: $input) { replayed } }";
    for (what, query, variables) in [
        ("a variable of 90 levels", products, json!({ "first": deep })),
        ("a variable of 15,000 items", products, json!({ "first": vec![1; 15_000] })),
        ("a variable that is no Int", products, json!({ "first": 1e300 })),
        ("500 lines of an order", place, json!({ "input": { "items": lines, "paymentToken": "t" } })),
    ] {
        all.push((what.to_owned(), json!({ "query": query, "variables": variables })));
    }
    let declared = many(1_000, |n| format!("$a{n}: Int "));
    push(all, "1,000 variables", format!("query({declared}) {{ me {{ id }} }}"));
    let large = format!("{{ {} }}", many(5, page));
    all.push(("six operations".to_owned(), json!(vec![json!({ "query": "{ me { id } }" }); 6])));
    all.push(("five operations that are too large".to_owned(), json!(vec![json!({ "query": large }); 5])));
}

/// A full page of orders with what is known of them.
fn page(n: usize) -> String {
    format!(
        "a{n}: orders(first: 100) {{ edges {{ node {{ customer {{ id name email }} items {{ name quantity }} }} }} }} "
    )
}
