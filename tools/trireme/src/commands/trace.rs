//! `trireme trace`: what happened to an order, where and how long, as a tree.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail, ensure};
use uuid::Uuid;

use crate::{
    data::Data,
    http::Http,
    output::{Output, dim},
    trace::{Source, Span, picture},
};

/// What is looked for, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trireme trace 0197a1c4-5e0f-7a34-9c1e-0d8c2f6b7a11
  trireme trace 4bf92f3577b34da6a3ce929d0e0e4736        # a trace_id from a log line or a problem
  trireme trace 0197a1c4-5e0f-7a34-9c1e-0d8c2f6b7a11 --jaeger http://127.0.0.1:16686")]
pub(crate) struct Question {
    /// An order's id, or the id of a trace: 32 hexadecimal digits.
    order: String,
    /// Jaeger's query service; without it the services that run on the data directory are asked for their recent spans.
    #[arg(long, value_name = "URL", env = "JAEGER_URL")]
    jaeger: Option<String>,
}

pub(crate) async fn run(path: &Path, question: Question) -> Result<ExitCode> {
    let Question { order, jaeger } = question;
    let id = order.parse::<Uuid>();
    ensure!(id.is_ok(), "`{order}` is neither the id of an order, such as GET /v1/orders lists, nor that of a trace");
    let sources = match jaeger {
        Some(url) => vec![Source::Jaeger(url)],
        None => Source::of(&super::running(&Data::open(path)?)?),
    };
    let http = Http::new();
    for source in sources {
        let found = find(&http, &source, &order.to_lowercase()).await?;
        if found.iter().any(|(_, spans)| !spans.is_empty()) {
            return Ok(show(&Output::new(), &found));
        }
    }
    bail!("no spans of {order} are kept: it is not known, older than what is kept, or its trace is not sampled")
}

async fn find(http: &Http, source: &Source, id: &str) -> Result<Vec<(String, Vec<Span>)>> {
    if id.contains('-') {
        return source.of_order(http, id).await;
    }
    Ok(vec![(id.to_owned(), source.of_trace(http, id).await?)])
}

fn show(output: &Output, found: &[(String, Vec<Span>)]) -> ExitCode {
    for (number, (trace, spans)) in found.iter().enumerate() {
        if number > 0 {
            output.line("");
        }
        output.lines(&picture(spans, trace));
    }
    output.line(&dim("⇢ to the bus   ⇠ from the bus"));
    ExitCode::SUCCESS
}
