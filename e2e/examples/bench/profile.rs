//! Where the time of a scenario goes: a flame graph for each service (Gregg, "The Flame Graph", 2016), from samples that `perf` takes while it
//! is under load.

use std::{
    fs::File,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    SETTINGS, STORED,
    load::Load,
    scenarios::{Scenario, Shop},
    start,
};

const LOAD: Load = Load::Closed(16);
const TIME: Duration = Duration::from_secs(10);
/// Samples a second: a prime number, so as not to keep step with anything.
const FREQUENCY: &str = "997";

/// Draws `target/…/bench/SCENARIO-SERVICE.svg`.
pub(crate) async fn draw(scenario: Scenario) -> Result<()> {
    let cluster = start(SETTINGS[1])?;
    let shop = Shop::open(&cluster, STORED).await?;
    let folder = e2e::binary("trireme")?.parent().context("no folder")?.join("bench");
    std::fs::create_dir_all(&folder)?;
    let processes = cluster.processes()?;
    let ask = async |n| shop.ask(scenario, n).await;
    LOAD.put(Duration::from_secs(1), &processes, ask).await?;
    let pids: Vec<String> = processes.iter().filter_map(|process| process.pid).map(|pid| pid.to_string()).collect();
    let samples = folder.join("perf.data");
    let mut recording = Command::new("perf")
        .args(["record", "--quiet", "--call-graph", "fp", "-F", FREQUENCY, "-p", &pids.join(","), "-o"])
        .arg(&samples)
        .spawn()
        .context("perf is not installed: it comes with the kernel (Debian: linux-perf)")?;
    let figures = LOAD.put(TIME, &processes, ask).await?;
    kill(Pid::from_raw(i32::try_from(recording.id())?), Signal::SIGINT)?;
    recording.wait()?;
    println!("{}: {:.0} answers per CPU-second", scenario.name(), figures.a_cpu_second);
    for process in &processes {
        let pid = process.pid.context("not running")?.to_string();
        let (mut script, samples_of) = piped(Command::new("perf").args(["script", "--pid", &pid, "-i"]).arg(&samples))?;
        let (mut stacks, lines) = piped(Command::new("inferno-collapse-perf").stdin(samples_of))?;
        let file = folder.join(format!("{}-{}.svg", scenario.name(), process.name));
        let mut drawing = Command::new("inferno-flamegraph");
        drawing.args(["--title", &format!("{}: {}", scenario.name(), process.name)]);
        let drawn = drawing.stdin(lines).stdout(File::create(&file)?).status()?;
        ensure!(
            script.wait()?.success() && stacks.wait()?.success() && drawn.success(),
            "no picture of {}",
            process.name
        );
        println!("{}", file.display());
    }
    Ok(())
}

/// Starts a program whose output the next one reads.
fn piped(command: &mut Command) -> Result<(Child, Stdio)> {
    let started = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = started
        .with_context(|| format!("{} is not installed: cargo install inferno", command.get_program().display()))?;
    let output = child.stdout.take().context("no output")?;
    Ok((child, output.into()))
}
