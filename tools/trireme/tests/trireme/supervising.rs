//! Starting, dying, starting again, ending.

use std::{fs, net::TcpListener, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::Instant;
use trireme::{Service, Supervisor};

use crate::stand_in::{OBEDIENT, STUBBORN, Scene, all_run, service, until};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn lives(pid: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_ok()
}

#[tokio::test]
async fn who_is_killed_is_started_again_and_the_others_live_on() {
    let scene = Scene::new(OBEDIENT);
    let supervisor = scene.start().await;
    let before = until(&supervisor, all_run).await;
    let victim = service(&before, Service::Order).pid.unwrap();
    signal(victim, Signal::SIGKILL);
    let after = until(&supervisor, |state| {
        let order = service(state, Service::Order);
        order.restarts == 1 && order.pid.is_some_and(|pid| pid != victim)
    })
    .await;
    assert_eq!(service(&after, Service::User), service(&before, Service::User));
    assert_eq!(service(&after, Service::Order).addresses, service(&before, Service::Order).addresses);
    assert_eq!(scene.data().state().unwrap(), after, "others can read it");
    supervisor.stop().await;
}

#[tokio::test]
async fn stopping_ends_everything_and_gives_the_directory_back() {
    let scene = Scene::new(OBEDIENT);
    let supervisor = scene.start().await;
    let state = until(&supervisor, all_run).await;
    supervisor.stop().await;
    for service in &state.services {
        assert!(!lives(service.pid.unwrap()), "{}", service.name);
    }
    let written = scene.data().state().unwrap();
    assert_eq!(written.services.len(), Service::ALL.len());
    assert!(written.pid.is_none() && written.services.iter().all(|service| service.pid.is_none()));
    assert!(scene.data().lock().unwrap().is_none(), "held as long as the supervisor is there");
    drop(supervisor);
    // A child that another test is just forking has the file open for a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    while scene.data().lock().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the lock is still held");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn whoever_does_not_end_can_be_killed() {
    let scene = Scene::new(STUBBORN);
    let supervisor = scene.start().await;
    let state = until(&supervisor, all_run).await;
    let start = Instant::now();
    supervisor.hurry();
    supervisor.stop().await;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(state.services.iter().all(|service| !lives(service.pid.unwrap())));
}

#[tokio::test]
async fn a_service_that_never_starts_is_an_error_with_its_last_words() {
    let scene = Scene::new(OBEDIENT);
    scene.write(Service::Payment, "echo 'payment: unknown key databse.url' >&2; exit 1");
    let supervisor = scene.start().await;
    let error = supervisor.ready(Duration::from_secs(20)).await.unwrap_err().to_string();
    assert!(error.contains("payment does not start") && error.contains("databse.url"), "{error}");
    supervisor.stop().await;
}

#[tokio::test]
async fn a_service_that_is_late_is_named() {
    let scene = Scene::new(OBEDIENT);
    let supervisor = scene.start().await;
    let error = supervisor.ready(Duration::from_millis(200)).await.unwrap_err().to_string();
    assert!(error.contains("user and order and payment not ready"), "{error}");
    supervisor.stop().await;
}

#[tokio::test]
async fn two_supervisors_do_not_share_a_directory() {
    let scene = Scene::new(OBEDIENT);
    let supervisor = scene.start().await;
    let error = Supervisor::start(scene.options()).await.unwrap_err().to_string();
    assert!(error.contains("trireme down --data"), "{error}");
    supervisor.stop().await;
}

#[tokio::test]
async fn ports_are_kept_as_long_as_they_are_free() {
    let scene = Scene::new(OBEDIENT);
    let addresses = |supervisor: &Supervisor| {
        let services = supervisor.state().services;
        services.into_iter().map(|service| service.addresses).collect::<Vec<_>>()
    };
    let first = scene.start().await;
    let picked = addresses(&first);
    first.stop().await;
    drop(first);
    let second = scene.start().await;
    assert_eq!(addresses(&second), picked);
    second.stop().await;
    drop(second);
    let taken = TcpListener::bind(picked[1].http.trim_start_matches("http://")).unwrap();
    let third = scene.start().await;
    let now = addresses(&third);
    assert_ne!(now[1].http, picked[1].http, "taken by {taken:?}");
    assert_eq!((&now[0], &now[2]), (&picked[0], &picked[2]));
    assert_eq!(now[1].grpc, picked[1].grpc);
    third.stop().await;
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_ended() {
    let scene = Scene::new(OBEDIENT);
    let supervisor = scene.start().await;
    until(&supervisor, all_run).await;
    // A process that nobody looks after, as it is after kill -9 of a supervisor.
    let script = scene.path().join("left");
    fs::write(&script, format!("#!/bin/sh\n{OBEDIENT}\n")).unwrap();
    let mut left = std::process::Command::new("sh").arg(&script).spawn().unwrap();
    supervisor.stop().await;
    drop(supervisor);
    let stat = fs::read_to_string(format!("/proc/{}/stat", left.id())).unwrap();
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned();
    let mut state = scene.data().state().unwrap();
    (state.services[0].pid, state.services[0].started) = (Some(left.id()), Some(started));
    fs::write(scene.data().join("state.json"), serde_json::to_vec(&state).unwrap()).unwrap();
    let next = scene.start().await;
    assert!(left.try_wait().unwrap().is_some(), "ended before the next one starts");
    next.stop().await;
}
