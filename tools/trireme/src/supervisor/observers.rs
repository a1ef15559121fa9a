//! What watches the services: the collector, Jaeger and Prometheus that `make observe` installs, with the configuration of
//! deploy/, on the loopback address.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use super::{
    program_loop::Program,
    programs::{self, Programs, taken},
    shared::Shared,
};
use crate::{
    ports,
    state::{COLLECTOR, JAEGER, PROMETHEUS, State},
};

const ALL: [&str; 3] = [COLLECTOR, JAEGER, PROMETHEUS];
const NAMES: &str = "the collector, Jaeger and Prometheus";

const COLLECTOR_CONFIG: &str = include_str!("../../../../deploy/otel-collector/config.yaml");
const JAEGER_CONFIG: &str = include_str!("../../../../deploy/jaeger/config.yaml");
const RULES: [(&str, &str); 7] = [
    ("alerts.yaml", include_str!("../../../../deploy/prometheus/rules/alerts.yaml")),
    ("slo-eventapplied.yaml", include_str!("../../../../deploy/prometheus/rules/slo-eventapplied.yaml")),
    ("slo-login.yaml", include_str!("../../../../deploy/prometheus/rules/slo-login.yaml")),
    ("slo-orderdecided.yaml", include_str!("../../../../deploy/prometheus/rules/slo-orderdecided.yaml")),
    ("slo-placeorder.yaml", include_str!("../../../../deploy/prometheus/rules/slo-placeorder.yaml")),
    ("slo-placeorderlatency.yaml", include_str!("../../../../deploy/prometheus/rules/slo-placeorderlatency.yaml")),
    ("slo-reads.yaml", include_str!("../../../../deploy/prometheus/rules/slo-reads.yaml")),
];

const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps the ports of the last run where they are free; where nothing shall watch there are none.
pub(super) fn pick_ports(state: &mut State, wanted: bool) -> Result<()> {
    let kept = std::mem::take(&mut state.observers);
    if wanted {
        state.observers = programs::pick_ports(ALL, &kept, &taken(state))?;
    }
    Ok(())
}

/// Starts what the state has ports for and waits until it listens.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<Programs> {
    let started = Programs::none(shared);
    if shared.state().observers.is_empty() {
        return Ok(started);
    }
    let _waiting = shared.output().wait(&format!("starting {NAMES}"));
    let folder = shared.options.data.join("observe");
    for (name, command) in commands(&shared.state(), &folder)? {
        let (command, folder) = (Box::new(command), folder.join(name));
        started.start(Program { name, slug: name, command, folder, ending: Signal::SIGTERM });
    }
    let listening = async {
        for observer in shared.state().observers {
            programs::listening(observer.port).await;
        }
        Ok(())
    };
    started.ready(listening, READY_TIMEOUT, (NAMES, folder)).await
}

/// Makes sure that all three are installed.
///
/// # Errors
///
/// One is not; the message says which, and what to do.
pub(crate) fn check_installed() -> Result<()> {
    installed().map(drop)
}

fn installed() -> Result<[PathBuf; 3]> {
    let missing: Vec<_> = ALL.into_iter().filter(|name| servers::program(name).is_none()).collect();
    match ALL.map(servers::program) {
        [Some(collector), Some(jaeger), Some(prometheus)] => Ok([collector, jaeger, prometheus]),
        _ => bail!("{} not installed: run `make observe`", missing.join(", ")),
    }
}

/// How each is started.
type Start = Box<dyn Fn() -> Command + Send>;

fn commands(state: &State, folder: &Path) -> Result<[(&'static str, Start); 3]> {
    let [collector, jaeger, prometheus] = installed()?;
    for name in ALL {
        fs::create_dir_all(folder.join(name)).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let port = |name| state.observer_port(name).context("no port was picked");
    let (otlp, ui, web) = (port(COLLECTOR)?, port(JAEGER)?, port(PROMETHEUS)?);
    // Those that only the three know of each other are new at each start.
    let [collector_http, collector_health, span_metrics, collector_metrics, jaeger_grpc, jaeger_health, jaeger_otlp] =
        ports::pick_some(&taken(state))?;
    let at = |port: u16| format!("127.0.0.1:{port}");
    let collector_environment = [
        ("OTLP_GRPC_LISTEN", at(otlp)),
        ("OTLP_HTTP_LISTEN", at(collector_http)),
        ("HEALTH_LISTEN", at(collector_health)),
        ("METRICS_LISTEN", at(span_metrics)),
        ("SELF_METRICS_HOST", "127.0.0.1".to_owned()),
        ("SELF_METRICS_PORT", collector_metrics.to_string()),
        ("TRACES_ENDPOINT", at(jaeger_otlp)),
        // A person looks for one trace, not for a part of them.
        ("SAMPLING_PERCENTAGE", "100".to_owned()),
    ];
    let jaeger_environment = [
        ("JAEGER_UI_LISTEN", at(ui)),
        ("JAEGER_GRPC_LISTEN", at(jaeger_grpc)),
        ("JAEGER_HEALTH_LISTEN", at(jaeger_health)),
        ("JAEGER_OTLP_LISTEN", at(jaeger_otlp)),
        ("PROMETHEUS_URL", format!("http://{}", at(web))),
    ];
    let collector_config = written(folder, COLLECTOR, "config.yaml", COLLECTOR_CONFIG)?;
    let jaeger_config = written(folder, JAEGER, "config.yaml", JAEGER_CONFIG)?;
    for (name, rules) in RULES {
        written(folder, PROMETHEUS, name, rules)?;
    }
    let scrapes = scrapes(state, &[at(span_metrics), at(collector_metrics)]);
    let prometheus_config = written(folder, PROMETHEUS, "prometheus.yml", &scrapes)?;
    let data = folder.join(PROMETHEUS).join("data");
    Ok([
        (COLLECTOR, command(collector, vec![format!("--config={collector_config}")], collector_environment.to_vec())),
        (JAEGER, command(jaeger, vec![format!("--config={jaeger_config}")], jaeger_environment.to_vec())),
        (
            PROMETHEUS,
            command(
                prometheus,
                vec![
                    format!("--config.file={prometheus_config}"),
                    format!("--storage.tsdb.path={}", data.display()),
                    format!("--web.listen-address={}", at(web)),
                    "--enable-feature=exemplar-storage".to_owned(),
                ],
                Vec::new(),
            ),
        ),
    ])
}

fn command(program: PathBuf, arguments: Vec<String>, environment: Vec<(&'static str, String)>) -> Start {
    Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&arguments).envs(environment.clone());
        command
    })
}

fn written(folder: &Path, name: &str, file: &str, text: &str) -> Result<String> {
    let path = folder.join(name).join(file);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}

/// Prometheus' configuration: as deploy/prometheus/prometheus.yml has it, with the ports of this machine, and nobody who is
/// told of alerts.
fn scrapes(state: &State, collector: &[String]) -> String {
    let target = |url: &str| url.trim_start_matches("http://").to_owned();
    let services = state.services.iter().map(|service| {
        format!(
            "      - {{ targets: [\"{}\"], labels: {{ job: {}, version: v1 }} }}\n",
            target(&service.addresses.admin),
            service.name
        )
    });
    let services: String = services.collect();
    let collector = collector.iter().map(|target| format!("\"{target}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 5s }}\nrule_files: [\"*.yaml\"]\n\
         scrape_configs:\n  - job_name: services\n    static_configs:\n{services}  \
         - job_name: otel-collector\n    static_configs: [{{ targets: [{collector}] }}]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::Service,
        state::{Addresses, ServiceState},
    };

    #[test]
    fn prometheus_reads_every_service_and_the_collector() {
        let mut state = State::default();
        for (number, name) in (1..).zip(Service::ALL) {
            state.services.push(ServiceState::new(name, Addresses::local([1, 2, number])));
        }
        let config = scrapes(&state, &["127.0.0.1:8".to_owned()]);
        for part in [
            r#"{ targets: ["127.0.0.1:1"], labels: { job: user, version: v1 } }"#,
            r#"{ targets: ["127.0.0.1:3"], labels: { job: payment, version: v1 } }"#,
            r#"targets: ["127.0.0.1:8"]"#,
        ] {
            assert!(config.contains(part), "{config}");
        }
    }

    #[test]
    fn every_file_of_rules_is_brought_along() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/rules");
        let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(RULES.map(|(name, _)| name.to_owned()).to_vec(), names);
    }
}
