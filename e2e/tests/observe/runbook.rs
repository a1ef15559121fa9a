//! The commands of docs/runbook.md, run on a system that works: each ends well and says something.

use std::{env, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use e2e::{
    binary,
    observe::{Stack, TIMEOUT, deploy},
};
use testkit::servers::program;
use tokio::time::{Instant, sleep};

use crate::{installed, scrape::work};

/// The first commands of each section, with its heading.
fn commands() -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(deploy().join("../docs/runbook.md"))?;
    let mut commands = Vec::new();
    for section in text.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        let block = section.split("```sh\n").nth(1).and_then(|block| block.split("```").next());
        commands.extend(block.into_iter().flat_map(str::lines).map(|line| (heading.to_owned(), line.to_owned())));
    }
    Ok(commands)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_works() -> Result<()> {
    let Some(promtool) = program("promtool") else { return Ok(()) };
    if !installed(&["otelcol", "prometheus"]) || !testkit::servers::stack_is_installed(servers::Server::Nats) {
        return Ok(());
    }
    let stack = Stack::start(&["--servers"]).await?;
    work(&stack.cluster).await?;
    let folders = [binary("trireme")?, promtool].map(|program| program.parent().map(ToOwned::to_owned));
    let path = env::var_os("PATH").context("no PATH")?;
    let path = env::join_paths(folders.into_iter().flatten().chain(env::split_paths(&path)))?;
    let mut variables = vec![("PROMETHEUS".to_owned(), stack.prometheus.url.clone())];
    for process in stack.cluster.processes()? {
        variables.push((format!("{}_ADMIN", process.name.to_uppercase()), process.admin));
    }
    let deadline = Instant::now() + TIMEOUT;
    let mut tried = 0;
    for (section, line) in commands()? {
        let data = stack.cluster.data();
        let mut shell = Command::new("sh");
        shell.args(["-euc", &line]).current_dir(data).env("PATH", &path).env("DATA", data).envs(variables.clone());
        loop {
            let output = shell.output()?;
            let printed =
                String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            if output.status.success() && !printed.trim().is_empty() {
                break;
            }
            // What is measured now and then is there a little later.
            ensure!(Instant::now() < deadline, "{section}: {line}\n{printed}");
            sleep(Duration::from_millis(500)).await;
        }
        tried += 1;
    }
    ensure!(tried > 0, "no commands");
    Ok(())
}
