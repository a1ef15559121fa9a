//! `trireme status`.

use anyhow::Result;
use serde_json::json;

use crate::{
    folder::Folder,
    state::State,
    terminal::{self, BOLD, DIM, RED},
};

/// Prints what runs where.
pub(crate) fn status(folder: &Folder, json: bool) -> Result<()> {
    let mut state = State::running(folder)?;
    for service in &mut state.services {
        service.pid = service.alive().map(nix::unistd::Pid::as_raw);
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&json!({"supervisor": state.supervisor, "services": state.services}))?);
        return Ok(());
    }
    anstream::println!("{BOLD}{:<8} {:>8} {:<8} {:<24} {:<24} {:<24}{BOLD:#}", "service", "pid", "version", "http", "grpc", "admin");
    for service in &state.services {
        let style = if service.pid.is_some() { terminal::colour(&service.name) } else { RED };
        let pid = service.pid.map_or_else(|| "dead".to_owned(), |pid| pid.to_string());
        let (name, version) = (&service.name, &service.version);
        anstream::println!(
            "{style}{name:<8}{style:#} {pid:>8} {version:<8} {:<24} {:<24} {:<24}",
            service.http,
            service.grpc,
            service.admin
        );
    }
    anstream::println!("{DIM}supervisor {}, data in {}{DIM:#}", state.supervisor, folder.path().display());
    Ok(())
}
