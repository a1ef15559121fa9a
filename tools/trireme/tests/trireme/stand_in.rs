//! Shell scripts in the place of the services: nothing here depends on what the real ones do.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use trireme::{Data, Logs, Options, Output, Service, ServiceState, State, Supervisor};

/// A folder with three binaries and a data directory.
pub(crate) struct Scene {
    folder: TempDir,
}

/// Lives until it is asked to end.
pub(crate) const OBEDIENT: &str = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
/// Lives on when it is asked to end.
pub(crate) const STUBBORN: &str = "trap '' TERM; while :; do sleep 0.05; done";

impl Scene {
    pub(crate) fn new(script: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        for service in Service::ALL {
            scene.write(service, script);
        }
        scene
    }

    /// Replaces a binary; `order seed` does nothing.
    pub(crate) fn write(&self, service: Service, script: &str) {
        let path = self.folder.path().join(service.name());
        fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = seed ] && exit 0\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> Data {
        Data::create(&self.folder.path().join("data")).unwrap()
    }

    pub(crate) fn options(&self) -> Options {
        let binaries = self.folder.path().to_owned();
        Options { data: self.data(), binaries, servers: None, observe: false, logs: Logs::Files, output: Output::new() }
    }

    pub(crate) async fn start(&self) -> Supervisor {
        Supervisor::start(self.options()).await.unwrap()
    }
}

/// Waits until the state is as `condition` says.
pub(crate) async fn until(supervisor: &Supervisor, condition: impl Fn(&State) -> bool) -> State {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let state = supervisor.state();
        if condition(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "not in time: {state:#?}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn service(state: &State, name: Service) -> ServiceState {
    state.service(name).unwrap().clone()
}

pub(crate) fn all_run(state: &State) -> bool {
    state.services.len() == Service::ALL.len() && state.services.iter().all(|service| service.pid.is_some())
}
