//! `trireme dlq`: the dead letters of the bus.

use std::{path::Path, process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use messaging::{Bus, DeadLetter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    data::Data,
    output::{Output, bold, dim},
};

/// More than a person reads, and as much as fits into memory with ease.
const LIMIT: usize = 10_000;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List them, oldest first.
    List {
        /// Of this consumer group only.
        #[arg(long)]
        group: Option<String>,
        /// For scripts: one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one with its reason, its headers and its data.
    Show {
        /// The event's id.
        id: Uuid,
    },
    /// Hand one, or all, to its group again.
    Replay {
        /// The event's id.
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// Every dead letter there is, oldest first.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Of this consumer group only.
        #[arg(long)]
        group: Option<String>,
    },
}

pub(crate) async fn run(path: &Path, bus: Option<String>, action: Action) -> Result<ExitCode> {
    let url = if let Some(url) = bus {
        url
    } else {
        let data = Data::open(path)?;
        data.bus(&data.state()?)?
    };
    let bus = backends::bus(&messaging::Config::new(url), clock::system()).await.context("cannot open the bus")?;
    let done = match action {
        Action::List { group, json } => list(&*bus, group.as_deref(), json).await,
        Action::Show { id } => show(&*bus, id).await,
        Action::Replay { id, group, .. } => replay(&bus, id, group.as_deref()).await,
    };
    bus.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn list(bus: &dyn Bus, group: Option<&str>, json: bool) -> Result<()> {
    let dead_letters = bus.dead_letters(group, LIMIT).await?;
    let output = Output::new();
    if json {
        output.lines(&dead_letters.iter().map(|dead_letter| object(dead_letter).to_string()).collect::<Vec<_>>());
    } else if dead_letters.is_empty() {
        output.line("no dead letters");
    } else {
        output.lines(&table(&dead_letters));
        output.line("");
        output.line(&dim("`trireme dlq show ID` tells why; `trireme dlq replay ID` brings one back"));
    }
    Ok(())
}

async fn show(bus: &dyn Bus, id: Uuid) -> Result<()> {
    for dead_letter in of(bus.dead_letters(None, LIMIT).await?, id)? {
        let output = Output::new();
        let line = |name: &str, value: &str| output.line(&format!("{} {value}", dim(&format!("{name:<12}"))));
        line("group", &dead_letter.group);
        line("cause", dead_letter.reason.cause.as_str());
        line("detail", &dead_letter.reason.detail);
        line("died", &clock::rfc3339(dead_letter.dead_at));
        line("attempts", &dead_letter.attempts.to_string());
        line("replays", &dead_letter.replays.to_string());
        for (name, value) in dead_letter.event.to_headers("") {
            line(&name, &value);
        }
        output.line(&pretty(&dead_letter));
    }
    Ok(())
}

async fn replay(bus: &Arc<dyn Bus>, id: Option<Uuid>, group: Option<&str>) -> Result<()> {
    let mut dead_letters = bus.dead_letters(group, LIMIT).await?;
    if let Some(id) = id {
        dead_letters = of(dead_letters, id)?;
    }
    let output = Output::new();
    for dead_letter in &dead_letters {
        let DeadLetter { group, event, .. } = dead_letter;
        bus.replay(group, event.id).await?;
        output.line(&format!("{} of {} goes to {} again", event.kind, event.key, bold(group)));
    }
    let hint = if dead_letters.is_empty() { "no dead letters" } else { "`trireme dlq list` shows what comes back" };
    output.line(&dim(hint));
    Ok(())
}

/// The dead letters of an event: each group may have one.
fn of(dead_letters: Vec<DeadLetter>, id: Uuid) -> Result<Vec<DeadLetter>> {
    let found: Vec<_> = dead_letters.into_iter().filter(|dead_letter| dead_letter.event.id == id).collect();
    if found.is_empty() {
        bail!("no dead letter {id}: `trireme dlq list` shows what there is");
    }
    Ok(found)
}

fn table(dead_letters: &[DeadLetter]) -> Vec<String> {
    let heads = ["died", "group", "kind", "key", "tries", "cause", "id"];
    let row = |dead_letter: &DeadLetter| {
        let DeadLetter { group, event, attempts, reason, dead_at, .. } = dead_letter;
        let (kind, key) = (event.kind.clone(), event.key.clone());
        let cause = reason.cause.to_string();
        [clock::rfc3339(*dead_at), group.clone(), kind, key, attempts.to_string(), cause, event.id.to_string()]
    };
    let rows: Vec<[String; 7]> = dead_letters.iter().map(row).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = bold(&line(&heads.map(str::to_owned)));
    std::iter::once(head).chain(rows.iter().map(|row| line(row))).collect()
}

fn object(dead_letter: &DeadLetter) -> Value {
    let DeadLetter { group, event, attempts, replays, reason, dead_at } = dead_letter;
    json!({
        "id": event.id, "group": group, "kind": event.kind, "key": event.key, "attempts": attempts,
        "replays": replays, "cause": reason.cause.as_str(), "detail": reason.detail,
        "dead_at": clock::rfc3339(*dead_at), "data": event.decode::<Value>().unwrap_or_default(),
    })
}

/// The data, indented where it is JSON.
fn pretty(dead_letter: &DeadLetter) -> String {
    let data = dead_letter.event.decode::<Value>().and_then(|data| serde_json::to_string_pretty(&data));
    data.unwrap_or_else(|_| String::from_utf8_lossy(&dead_letter.event.data).into_owned())
}
