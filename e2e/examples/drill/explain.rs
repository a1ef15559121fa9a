//! The trace that explains an incident: the decisive branch of a request that failed, or was as slow as most.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use e2e::observe::Collector;
use trireme::trace::{Span, decisive};

use crate::incidents::Incident;

/// Of the traces that the collector kept of the time of the fault.
pub(crate) fn trace(
    collector: &Collector,
    incident: &Incident,
    (begin, end): (SystemTime, SystemTime),
) -> Result<String> {
    let nanos = |time: SystemTime| anyhow::Ok(u64::try_from(time.duration_since(UNIX_EPOCH)?.as_nanos())?);
    let (begin, end) = (nanos(begin)?, nanos(end)?);
    let (service, name) = incident.entry;
    let is_entry = |span: &Span| span.service == service && span.name == name && (begin..end).contains(&span.start);
    let mut entries = collector.spans(is_entry)?;
    if entries.iter().any(|span| span.failure.is_some()) {
        entries.retain(|span| span.failure.is_some());
    }
    entries.sort_by_key(|span| span.end - span.start);
    let typical = entries.get(entries.len() / 2).with_context(|| format!("no span {name} of {service} was kept"))?;
    Ok(decisive(&collector.spans(|span| span.trace == typical.trace)?, typical))
}
