//! `trireme log`: which lines a service writes, and others for a while.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use auth::{CREDENTIAL_HEADER, Credential};
use clap::Args;
use http::Method;
use serde_json::json;

use crate::{data::Data, http::Http, output::Output, service::Service};

/// What is asked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trireme log order                          what order writes now
  trireme log order order=debug,nats=debug   more of these two for ten minutes
  trireme log order debug --seconds 60
  trireme log order --restore                as configured

  kubectl port-forward deploy/order 9464 &   in a cluster, with the secret of the services in a file
  trireme log order debug --admin http://127.0.0.1:9464 --credential-file credential")]
pub(crate) struct Question {
    /// user, order or payment.
    service: Service,
    /// What to write from now on, as `telemetry.log`; without one, what is written now is shown.
    filter: Option<String>,
    /// How long; the service goes back by itself.
    #[arg(long, default_value_t = 600, requires = "filter")]
    seconds: u32,
    /// Go back to the configuration at once.
    #[arg(long, conflicts_with = "filter")]
    restore: bool,
    /// The service's admin port, where it is none that `up` started.
    #[arg(long, value_name = "URL", requires = "credential_file")]
    admin: Option<String>,
    /// The secret by which the services know each other.
    #[arg(long, value_name = "FILE", env = "TRIREME_SERVICE__CREDENTIAL_FILE")]
    credential_file: Option<PathBuf>,
}

pub(crate) async fn run(path: &Path, question: Question) -> Result<ExitCode> {
    let (admin, credential) = match (&question.admin, &question.credential_file) {
        (Some(admin), Some(file)) => (admin.clone(), super::credential_of(file)?),
        _ => on_this_machine(path, question.service)?,
    };
    let url = format!("{}/log-filter", admin.trim_end_matches('/'));
    let (method, body) = match &question.filter {
        Some(filter) => (Method::PUT, Some(json!({ "filter": filter, "seconds": question.seconds }))),
        None if question.restore => (Method::DELETE, None),
        None => (Method::GET, None),
    };
    let value = credential.header_value();
    let headers = [(CREDENTIAL_HEADER, value.to_str()?)];
    let answer = Http::new().send(method, &url, &headers, body.as_ref()).await?;
    let answer = answer.expect(&[200, 204], "the service refused")?;
    let left = answer.body["ends_in_seconds"].as_u64();
    let until = left.map_or(String::new(), |left| format!(" for {left} s"));
    let filter = answer.body["filter"].as_str().unwrap_or("as configured");
    Output::new().line(&format!("{}: {filter}{until}", question.service));
    Ok(ExitCode::SUCCESS)
}

fn on_this_machine(path: &Path, service: Service) -> Result<(String, Credential)> {
    let data = Data::open(path)?;
    let state = super::running(&data)?;
    let known = state.service(service).with_context(|| format!("{service} was never started"))?;
    Ok((known.addresses.admin.clone(), super::credential(&data)?))
}
