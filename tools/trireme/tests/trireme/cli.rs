//! The binary itself, as far as it goes without the services.

use std::process::{Command, Output};

use crate::stand_in::{OBEDIENT, Scene};

fn trireme(arguments: &[&str], scene: &Scene) -> Output {
    let binary = env!("CARGO_BIN_EXE_trireme");
    Command::new(binary).args(arguments).arg("--data").arg(scene.data().path()).output().unwrap()
}

fn said(output: &Output) -> String {
    [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn where_nothing_was_started_each_command_says_what_to_do() {
    let scene = Scene::new(OBEDIENT);
    let trace = ["trace", "0197a1c4-5e0f-7a34-9c1e-0d8c2f6b7a11"];
    let grant = ["grant", "a@b.example", "operator"];
    for command in [&["status"][..], &["status", "--json"], &["down"], &["verify"], &["top"], &trace, &grant] {
        let output = trireme(command, &scene);
        assert!(!output.status.success(), "{command:?}");
        assert!(said(&output).contains("trireme up"), "{command:?}: {}", said(&output));
    }
}

#[test]
fn a_role_that_does_not_exist_is_refused() {
    let output = trireme(&["grant", "a@b.example", "king"], &Scene::new(OBEDIENT));
    assert!(!output.status.success() && said(&output).contains("operator"));
}

#[test]
fn what_is_not_installed_to_watch_is_said_before_anything_starts() {
    let scene = Scene::new(OBEDIENT);
    for arguments in [&["up", "--observe"][..], &["up", "--observe", "--detach"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
        command.env("SERVERS_DIR", scene.path()).env("PATH", scene.path());
        let output = command.args(arguments).arg("--data").arg(scene.path().join("data")).output().unwrap();
        assert!(!output.status.success());
        assert!(
            said(&output).contains("otelcol, jaeger, prometheus not installed: run `make observe`"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn status_is_for_scripts_too() {
    let scene = Scene::new(OBEDIENT);
    std::fs::write(scene.data().join("state.json"), r#"{"version":"1","pid":1,"seeded":true,"services":[]}"#).unwrap();
    let output = trireme(&["status", "--json"], &scene);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&status["running"], &status["pid"]), (&false.into(), &serde_json::Value::Null));
    assert!(said(&trireme(&["down"], &scene)).contains("nothing runs"));
}
