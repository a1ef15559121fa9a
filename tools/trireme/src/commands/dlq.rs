//! `trireme dlq`: the dead letters of the bus, and what services could not publish.

mod outboxes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use messaging::{Bus, DeadLetter, Event, Resolution};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    data::Data,
    output::{Output, bold, dim},
};
use outboxes::{Outboxes, Row};

/// More than a person reads, and as much as fits into memory with ease. Of more of them it is said that there are.
const LIMIT: usize = 10_000;
/// Dead letters that the bus is asked to resolve at once: some brokers read all of them each time.
const AT_ONCE: usize = 500;

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List them, oldest first.
    List {
        /// Of this consumer group only; `outbox`: of the outboxes of the services.
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
    /// Hand one, or all, to its group again; of an outbox, to the bus.
    Replay {
        /// The event's id.
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// Every dead letter there is, oldest first.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Of this consumer group only; `outbox`: of the outboxes of the services.
        #[arg(long)]
        group: Option<String>,
    },
    /// Forget one, or all of a group: it is never handled. Of an outbox nothing is forgotten.
    Discard {
        /// The event's id.
        #[arg(required_unless_present = "all")]
        id: Option<Uuid>,
        /// Every dead letter of the group.
        #[arg(long, conflicts_with = "id", requires = "group")]
        all: bool,
        /// Of this consumer group only.
        #[arg(long)]
        group: Option<String>,
    },
}

/// Where dead letters are.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The bus, where it is not that of the data directory: `sqlite://PATH`, `nats://HOST:4222`.
    #[arg(long, global = true, value_name = "URL", env = "TRIREME_BUS__URL", hide_env_values = true)]
    bus: Option<String>,
    /// The admin port of a service whose outbox is looked at, where it is none that `up` started; may be repeated.
    #[arg(long, global = true, value_name = "URL")]
    admin: Vec<String>,
    /// The secret by which the services know each other, for their admin ports.
    #[arg(long, global = true, value_name = "FILE", env = "TRIREME_SERVICE__CREDENTIAL_FILE")]
    credential_file: Option<PathBuf>,
}

impl Place {
    fn url(&self, path: &Path) -> Result<String> {
        if let Some(url) = &self.bus {
            return Ok(url.clone());
        }
        let data = Data::open(path)?;
        data.bus(&data.state()?)
    }

    /// The outboxes to look at, where they are asked for by name or with all else.
    fn outboxes(&self, path: &Path, by_name: bool) -> Result<Outboxes> {
        match (&self.credential_file, self.admin.is_empty()) {
            (Some(file), false) => Outboxes::at(self.admin.clone(), file),
            (None, false) => bail!("--admin needs --credential-file"),
            // Another bus may be another system's.
            (_, true) if self.bus.is_some() && !by_name => Ok(Outboxes::default()),
            (_, true) => Outboxes::of(&Data::open(path)?),
        }
    }
}

/// What was given up: by groups of the bus, and by the outboxes of services, each only where it is asked for.
struct GivenUp {
    bus: Option<Arc<dyn Bus>>,
    outboxes: Outboxes,
    output: Output,
}

pub(crate) async fn run(path: &Path, place: Place, action: Action) -> Result<ExitCode> {
    let group = match &action {
        Action::List { group, .. } | Action::Replay { group, .. } | Action::Discard { group, .. } => group.as_deref(),
        Action::Show { .. } => None,
    };
    let (of_outboxes, discards) = (group == Some(outboxes::GROUP), matches!(action, Action::Discard { .. }));
    if of_outboxes && discards {
        bail!("what a service has to publish is not discarded: `trireme dlq replay` offers it to the bus again");
    }
    let bus = if of_outboxes {
        None
    } else {
        let config = messaging::Config::new(place.url(path)?);
        Some(backends::bus(&config, clock::system()).await.context("cannot open the bus")?)
    };
    let with_outboxes = of_outboxes || group.is_none() && !discards;
    let outboxes = if with_outboxes { place.outboxes(path, of_outboxes)? } else { Outboxes::default() };
    let given_up = GivenUp { bus: bus.clone(), outboxes, output: Output::new() };
    let done = match &action {
        Action::List { json, .. } => given_up.list(group, *json).await,
        Action::Show { id } => given_up.show(*id).await,
        Action::Replay { id, .. } => given_up.replay(*id, group).await,
        Action::Discard { id, .. } => given_up.discard(*id, group).await,
    };
    if let Some(bus) = bus {
        bus.close().await;
    }
    done.map(|()| ExitCode::SUCCESS)
}

impl GivenUp {
    /// All, or those of one event, of which each group and each service may have one.
    async fn find(&self, group: Option<&str>, id: Option<Uuid>) -> Result<(Vec<DeadLetter>, Vec<Row>)> {
        let mut dead_letters = match &self.bus {
            Some(bus) => bus.dead_letters(group, LIMIT).await?,
            None => Vec::new(),
        };
        let mut rows = self.outboxes.rows(&self.output).await;
        if let Some(id) = id {
            dead_letters.retain(|dead_letter| dead_letter.event.id == id);
            rows.retain(|row| row.is_of(id));
            if dead_letters.is_empty() && rows.is_empty() {
                bail!("no dead letter {id}: `trireme dlq list` shows what there is");
            }
        }
        Ok((dead_letters, rows))
    }

    async fn list(&self, group: Option<&str>, json: bool) -> Result<()> {
        let (dead_letters, rows) = self.find(group, None).await?;
        let objects: Vec<Value> =
            dead_letters.iter().map(object).chain(rows.into_iter().map(|row| row.fields)).collect();
        let output = &self.output;
        if json {
            output.lines(&objects.iter().map(Value::to_string).collect::<Vec<_>>());
        } else if objects.is_empty() {
            output.line("no dead letters");
        } else {
            output.lines(&table(&objects));
            output.line("");
            output.line(&dim(
                "`trireme dlq show ID` tells why; `dlq replay ID` brings one back, `dlq discard ID` forgets it",
            ));
        }
        Ok(())
    }

    async fn show(&self, id: Uuid) -> Result<()> {
        let (dead_letters, rows) = self.find(None, Some(id)).await?;
        let line = |name: &str, value: &str| self.output.line(&format!("{} {value}", dim(&format!("{name:<12}"))));
        for dead_letter in dead_letters {
            line("group", &dead_letter.group);
            line("cause", dead_letter.reason.cause.as_str());
            line("detail", &dead_letter.reason.detail);
            line("died", &clock::rfc3339(dead_letter.dead_at));
            line("attempts", &dead_letter.attempts.to_string());
            line("replays", &dead_letter.replays.to_string());
            for (name, value) in dead_letter.event.to_headers("") {
                line(&name, &value);
            }
            self.output.line(&pretty(&dead_letter));
        }
        for Row { fields, .. } in rows {
            for name in ["group", "service", "cause", "detail", "dead_at", "attempts", "id", "kind", "key"] {
                line(name, &cell(&fields[name]));
            }
        }
        Ok(())
    }

    async fn replay(&self, id: Option<Uuid>, group: Option<&str>) -> Result<()> {
        let (dead_letters, rows) = self.find(group, id).await?;
        let nothing = dead_letters.is_empty() && rows.is_empty();
        self.resolve(&dead_letters, Resolution::Replay).await?;
        // The rows of a service stand together, and all of them are one request.
        for of_service in rows.chunk_by(|one, next| one.admin == next.admin) {
            let Some(Row { admin, fields }) = of_service.first() else { continue };
            let revived = self.outboxes.revive(admin, id).await?;
            let service = cell(&fields["service"]);
            self.output.line(&format!("{revived} of the outbox of {} to be published again", bold(&service)));
        }
        let hint = if nothing { "no dead letters" } else { "`trireme dlq list` shows what comes back" };
        self.output.line(&dim(hint));
        Ok(())
    }

    async fn discard(&self, id: Option<Uuid>, group: Option<&str>) -> Result<()> {
        let (dead_letters, _) = self.find(group, id).await?;
        if dead_letters.is_empty() {
            self.output.line(&dim("no dead letters"));
        }
        self.resolve(&dead_letters, Resolution::Discard).await
    }

    /// Group by group, each one's oldest first.
    async fn resolve(&self, dead_letters: &[DeadLetter], resolution: Resolution) -> Result<()> {
        let Some(bus) = &self.bus else { return Ok(()) };
        if dead_letters.len() == LIMIT {
            self.output.notice(&format!("the oldest {LIMIT}: for those after them do it again"));
        }
        let mut groups: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for DeadLetter { group, event, .. } in dead_letters {
            groups.entry(group).or_default().push(event);
        }
        for (group, events) in groups {
            for events in events.chunks(AT_ONCE) {
                let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
                let resolved = bus.resolve(group, &ids, resolution).await?;
                if resolved < u64::try_from(ids.len())? {
                    bail!(
                        "of {} dead letters of {group} {resolved} were there to be resolved: somebody else is at it, or was \
                         interrupted less than 30 s ago; `trireme dlq list` shows what is left",
                        ids.len()
                    );
                }
                for Event { kind, key, .. } in events {
                    self.output.line(&match resolution {
                        Resolution::Replay => format!("{kind} of {key} goes to {} again", bold(group)),
                        Resolution::Discard => format!("{kind} of {key} never goes to {}", bold(group)),
                    });
                }
            }
        }
        Ok(())
    }
}

fn table(objects: &[Value]) -> Vec<String> {
    let heads = ["died", "group", "kind", "key", "tries", "cause", "id"];
    let row = |object: &Value| {
        let mut cells = ["dead_at", "group", "kind", "key", "attempts", "cause", "id"].map(|name| cell(&object[name]));
        if let Some(service) = object["service"].as_str() {
            cells[1] = format!("{} of {service}", cells[1]);
        }
        cells
    };
    let rows: Vec<[String; 7]> = objects.iter().map(row).collect();
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

/// Text without quotes; nothing where there is none.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
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
