//! `trireme trace`: what happened to an order, where and how long, as a tree.

use std::{path::Path, process::ExitCode};

use anyhow::{Result, ensure};
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
    let source = match jaeger {
        Some(url) => Source::Jaeger(url),
        None => Source::of(&super::running(&Data::open(path)?)?),
    };
    let (http, is_trace) = (Http::new(), !order.contains('-'));
    let found = if is_trace {
        let trace = order.to_lowercase();
        vec![(trace.clone(), source.of_trace(&http, &trace).await?)]
    } else {
        source.of_order(&http, &order.to_lowercase()).await?
    };
    show(&Output::new(), &order, &found)
}

fn show(output: &Output, id: &str, found: &[(String, Vec<Span>)]) -> Result<ExitCode> {
    ensure!(
        found.iter().any(|(_, spans)| !spans.is_empty()),
        "no spans of {id} are kept: it is not known, older than what is kept, or its trace is not sampled"
    );
    for (number, (trace, spans)) in found.iter().enumerate() {
        if number > 0 {
            output.line("");
        }
        output.lines(&picture(spans, trace));
    }
    output.line(&dim("⇢ to the bus   ⇠ from the bus"));
    Ok(ExitCode::SUCCESS)
}
