//! One service from its first listener to its last request.

use std::{collections::HashSet, future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use axum::Router;
use futures::future::{BoxFuture, join_all};
use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{timeout, timeout_at},
};
use tonic::service::Routes;

use crate::{
    Config, Health, Listen, Tasks, admin, admission::Admission, grpc_health::GrpcHealth, in_flight::InFlight, layers,
    log_filter, phases::Phases, process, serve::serve,
};

/// What a service is made of.
pub struct App {
    /// Its name, as in `service.name`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from.
    pub commit: &'static str,
    /// Public routes, without layers.
    pub http: Router,
    /// gRPC services; health and reflection are added.
    pub grpc: Routes,
    /// Routes of the admin port beside health, metrics and version, each with a check of who asks.
    pub admin: Router,
    /// Encoded file descriptor sets, for reflection.
    pub descriptors: &'static [&'static [u8]],
    /// What readiness depends on, and what is shown beside.
    pub health: Health,
    /// Background work.
    pub tasks: Tasks,
    /// What is left to do when requests and tasks have ended, such as closing a database.
    pub on_drained: Vec<BoxFuture<'static, ()>>,
}

/// Builds a service and runs it until a signal ends it.
///
/// The ports are opened first, so that a service that cannot have them has begun nothing; clients that connect wait
/// until it is built.
///
/// # Errors
///
/// A port is taken, the service cannot be built, a task has ended by itself, or the deadline of the shutdown has passed with work left.
pub async fn run(config: Config, build: impl AsyncFnOnce() -> Result<App>) -> Result<()> {
    process::begin();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listeners = Listeners::bind(&config).await?;
    let app = build().await?;
    let signalled = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_until(listeners, config, app, signalled).await
}

/// The three open ports; clients that connect wait until they are served.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    /// Opens the ports.
    ///
    /// # Errors
    ///
    /// A port is taken or not allowed; the message says what to do.
    pub async fn bind(config: &Config) -> Result<Self> {
        let (http, grpc) = (bind(&config.http, "HTTP").await?, bind(&config.grpc, "GRPC").await?);
        Ok(Self { http, grpc, admin: bind(&config.admin, "ADMIN").await? })
    }

    /// The addresses of HTTP, gRPC and admin.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub fn addresses(&self) -> Result<[SocketAddr; 3]> {
        Ok([self.http.local_addr()?, self.grpc.local_addr()?, self.admin.local_addr()?])
    }
}

/// Serves on open ports until `stop`, as [`run`] does until a signal.
///
/// # Errors
///
/// A task has ended by itself, or the deadline of the shutdown has passed with work left.
pub async fn serve_until(
    listeners: Listeners,
    config: Config,
    app: App,
    stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let addresses = listeners.addresses()?;
    let Listeners { http, grpc, admin } = listeners;

    let in_flight = InFlight::new(config.limits.max_in_flight);
    let methods = methods(app.descriptors)?;
    let (mut grpc_health, grpc_routes) = grpc_routes(app.grpc, app.descriptors).await?;
    let routes = layers::http(app.http, &config.limits, &config.cors, Arc::clone(&in_flight));
    let calls = layers::grpc(grpc_routes, methods, &config.limits, &config.cors, Arc::clone(&in_flight));
    let version = json!({"service": app.name, "version": app.version, "commit": app.commit});

    let (public, private) = (Server::default(), Server::default());
    let most = config.limits.max_connections;
    let mut health = app.health.check("requests", in_flight, |in_flight| ready(in_flight.check()));
    for (name, listener, router) in [("http", http, routes), ("grpc", grpc, calls)] {
        let admission = public.serve(name, listener, router, most);
        health = health.check(name, admission, |admission| ready(admission.check()));
    }
    let asked = layers::admin(admin::router(health.clone(), version).merge(app.admin));
    private.serve("admin", admin, asked, ADMIN_CONNECTIONS);
    look_after_itself(&private.tasks, app.version, app.commit);
    announce(app.name, app.version, addresses);

    let failure = tokio::select! {
        () = stop => None,
        failure = app.tasks.failed() => Some(failure),
        failure = public.tasks.failed() => Some(failure),
        failure = private.tasks.failed() => Some(failure),
        // It has ended before the word at the stop, which stays the last.
        never = grpc_health.follow(&health) => match never {},
    };
    tracing::info!(reason = failure.as_deref().unwrap_or("signal"), "stopping");
    health.stop();
    grpc_health.set(tonic_health::ServingStatus::NotServing).await;
    let lame_duck = if failure.is_none() { config.shutdown.lame_duck } else { Duration::ZERO };
    let deadline = tokio::time::Instant::now() + config.shutdown.deadline;
    // Some of the time is the tasks' own: a request that hangs must not keep them from finishing their work.
    let last_answer = deadline - config.shutdown.deadline / 4;
    public.say_goodbye(lame_duck, last_answer).await;
    app.tasks.streams().cancel();
    // Whoever watches has been told, and this ends the watches.
    grpc_health.clear().await;
    let answered = public.stop(last_answer).await;
    let finished = timeout_at(deadline, app.tasks.stop()).await.is_ok();
    let drained = timeout(DRAINED, join_all(app.on_drained)).await.is_ok();
    // Probes see the process for as long as there is one.
    private.stop(tokio::time::Instant::now()).await;
    if let Some(failure) = failure {
        bail!(failure);
    }
    let ends = [(answered, "requests"), (finished, "background tasks"), (drained, "closing connections")];
    all_ended(ends, config.shutdown.deadline)
}

/// An error of what has not ended.
fn all_ended(ends: [(bool, &str); 3], deadline: Duration) -> Result<()> {
    let left: Vec<_> = ends.into_iter().filter(|(ended, _)| !ended).map(|(_, what)| what).collect();
    if !left.is_empty() {
        bail!("cut off at the end (`shutdown.deadline` is {deadline:?}): {}", left.join(", "));
    }
    tracing::info!("stopped");
    Ok(())
}

/// Takes back log filters whose time is over, and measures what the process takes.
fn look_after_itself(tasks: &Tasks, version: &'static str, commit: &'static str) {
    tasks.spawn("log filter", log_filter::keep(tasks.token()));
    process::measure(version, commit);
    tasks.spawn("timer probe", process::probe(tasks.token()));
}

/// How long the very last may take, such as closing a database; it is done even when the deadline has passed.
const DRAINED: Duration = Duration::from_secs(2);

/// Open ports and the connections behind them.
#[derive(Debug)]
struct Server {
    phases: Phases,
    /// The accept loops, and on the same tracker the connections.
    tasks: Tasks,
}

impl Default for Server {
    fn default() -> Self {
        let tasks = Tasks::new();
        Self { phases: Phases { stop: tasks.token(), ..Phases::default() }, tasks }
    }
}

impl Server {
    fn serve(&self, name: &'static str, listener: TcpListener, router: Router, most: usize) -> Arc<Admission> {
        let admission = Admission::new(name, most);
        let accepting = serve(listener, router, Arc::clone(&admission), self.phases.clone(), self.tasks.tracker());
        self.tasks.spawn(name, async { accepting.await.context("its connections cannot be accepted") });
        admission
    }

    /// Goes on serving for a while, and asks clients to go elsewhere.
    async fn say_goodbye(&self, lame_duck: Duration, deadline: tokio::time::Instant) {
        self.phases.lame_duck.cancel();
        let _ = timeout_at(deadline, tokio::time::sleep(lame_duck)).await;
    }

    /// Lets what is open come to its end; what is not there by `deadline` is cut. Says whether nothing was.
    async fn stop(&self, deadline: tokio::time::Instant) -> bool {
        let answered = timeout_at(deadline, self.tasks.stop()).await.is_ok();
        self.phases.cut.cancel();
        answered
    }
}

/// Connections of the admin port: a kubelet, a Prometheus, a person.
const ADMIN_CONNECTIONS: usize = 64;

async fn bind(listen: &Listen, section: &str) -> Result<TcpListener> {
    let (host, port) = (listen.host.as_str(), listen.port);
    TcpListener::bind((host, port)).await.with_context(|| {
        format!(
            "cannot listen on {host}:{port}; choose another port with TRIREME_{section}__PORT (0 picks a free one) \
             or end what listens there (`ss -ltnp 'sport = :{port}'` shows it)"
        )
    })
}

/// The service's own methods with health (`grpc.health.v1`) and reflection (v1).
async fn grpc_routes(routes: Routes, descriptors: &'static [&'static [u8]]) -> Result<(GrpcHealth, Router)> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let own = services(descriptors)?.into_iter().map(|(name, _)| name).collect();
    let reporter = GrpcHealth::new(reporter, own).await;
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(error::DETAIL_DESCRIPTORS);
    for set in descriptors {
        reflection = reflection.register_encoded_file_descriptor_set(set);
    }
    let routes = routes.add_service(health).add_service(reflection.build_v1()?);
    Ok((reporter, routes.prepare().into_axum_router()))
}

/// The names of all methods that are served, as `package.Service/Method`.
fn methods(descriptors: &[&[u8]]) -> Result<HashSet<String>> {
    let standard = [tonic_health::pb::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET];
    let mut methods = HashSet::new();
    for (service, of_service) in services(&standard)?.into_iter().chain(services(descriptors)?) {
        methods.extend(of_service.iter().map(|method| format!("{service}/{}", method.name())));
    }
    Ok(methods)
}

/// The services that are described, by their full names, each with its methods.
fn services(descriptors: &[&[u8]]) -> Result<Vec<(String, Vec<MethodDescriptorProto>)>> {
    let mut services = Vec::new();
    for set in descriptors {
        for file in FileDescriptorSet::decode(*set)?.file {
            let package = file.package().to_owned();
            let named = |service: ServiceDescriptorProto| (format!("{package}.{}", service.name()), service.method);
            services.extend(file.service.into_iter().map(named));
        }
    }
    Ok(services)
}

fn announce(name: &str, version: &str, [http, grpc, admin]: [SocketAddr; 3]) {
    let ready_ms = u64::try_from(process::uptime().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(service.version = version, %http, %grpc, %admin, ready_ms, "{name} is ready");
}

#[cfg(test)]
mod tests {
    use std::{net::Shutdown, os::fd::AsFd as _};

    use super::*;
    use crate::{Cors, Limits};

    #[tokio::test]
    async fn a_port_that_accepts_nobody_any_more_ends_the_process() {
        let listen = || Listen { host: "127.0.0.1".to_owned(), port: 0 };
        let shutdown = crate::Shutdown { lame_duck: Duration::ZERO, deadline: Duration::from_secs(1) };
        let (limits, cors) = (Limits::default(), Cors::default());
        let config = Config { http: listen(), grpc: listen(), admin: listen(), shutdown, limits, cors };
        let app = App {
            name: "test",
            version: "1.2.3",
            commit: "abc",
            http: Router::new(),
            grpc: Routes::default(),
            admin: Router::new(),
            descriptors: &[],
            health: Health::new(),
            tasks: Tasks::new(),
            on_drained: Vec::new(),
        };
        let listeners = Listeners::bind(&config).await.unwrap();
        let same = listeners.grpc.as_fd().try_clone_to_owned().unwrap();
        std::net::TcpStream::from(same).shutdown(Shutdown::Both).unwrap();
        let end = timeout(Duration::from_secs(5), serve_until(listeners, config, app, std::future::pending())).await;
        let error = end.expect("it goes on and serves nobody").unwrap_err().to_string();
        assert!(error.contains("task grpc") && error.contains("cannot be accepted"), "{error}");
    }
}
