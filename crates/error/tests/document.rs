//! docs/problems.md says what the registry says; `UPDATE=1 cargo test -p trireme-error` writes it.

use std::{env, fmt::Write as _, fs};

use error::Problem;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems.md");

const HEAD: &str = "# Problems

What a client meets when it is refused, and what it does about it.
The `type` of a problem document (RFC 9457) is `/problems/` and the name, and leads to a page that every service has.
`reason` of google.rpc.ErrorInfo (domain `trireme`) and `code` of GraphQL are the same name in upper case.
Names are added, never changed; a client treats one that it does not know by its status.

Written from `crates/error/src/registry.rs` by `UPDATE=1 cargo test -p trireme-error`.
";

fn document() -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    text.push_str("\n| name | HTTP | gRPC | |\n|---|---|---|---|\n");
    for problem in Problem::ALL {
        let (name, kind) = (problem.name(), problem.kind());
        let (status, code) = (kind.http().as_u16(), kind.grpc_name());
        writeln!(text, "| [{name}](#{name}) | {status} | {code} | {} |", problem.title())?;
    }
    for problem in Problem::ALL {
        let mut meaning = problem.meaning().to_owned();
        meaning[..1].make_ascii_uppercase();
        let remedy = problem.remedy().replace(". ", ".\n");
        writeln!(text, "\n## {}\n\n{meaning}.\n{remedy}", problem.name())?;
    }
    Ok(text)
}

#[test]
fn the_document_is_the_registrys() {
    let document = document().unwrap();
    if env::var_os("UPDATE").is_some() {
        fs::write(FILE, &document).unwrap();
    }
    let written = fs::read_to_string(FILE).unwrap_or_default();
    assert!(written == document, "docs/problems.md is old: UPDATE=1 cargo test -p trireme-error");
}
