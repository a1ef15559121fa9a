//! What the tools of Kubernetes and Istio say of whatever the charts render.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use testkit::servers::program;

use crate::render::{documents, every, of_kind, root};

/// Runs a program on each of the files in a folder.
fn run(program: &Path, arguments: &[&str], folder: &Path) -> Output {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension() == Some(OsStr::new("yaml")));
    Command::new(program).args(arguments).args(files).output().unwrap()
}

fn write(folder: &Path, name: &str, manifests: &[Value]) {
    let text: Vec<_> = manifests.iter().map(ToString::to_string).collect();
    let name = name.replace(|letter: char| !letter.is_alphanumeric(), "_");
    fs::write(folder.join(format!("{name:.80}.yaml")), text.join("\n---\n")).unwrap();
}

/// The policy of istio/.
fn istio() -> Vec<Value> {
    let files = fs::read_dir(root().join("istio")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension() == Some(OsStr::new("yaml")));
    files.flat_map(|file| documents(&fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn everything_fits_the_schemas_of_kubernetes_and_its_extensions() {
    let Some(kubeconform) = program("kubeconform") else { return };
    let Some(known) = program("schemas/k8s/v1.33.0-local-strict/_definitions.json") else { return };
    let schemas: PathBuf = known.ancestors().nth(3).unwrap().into();
    let schemas = schemas.display();
    let folder = tempfile::tempdir().unwrap();
    let (every, mut count) = (every(), 0);
    for (name, manifests) in &every {
        write(folder.path(), name, manifests);
        count += manifests.len();
    }
    write(folder.path(), "istio", &istio());
    count += istio().len();
    let kubernetes = format!(
        "{schemas}/k8s/{{{{.NormalizedKubernetesVersion}}}}-local{{{{.StrictSuffix}}}}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    );
    let extensions = format!("{schemas}/crd/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json");
    let output = run(
        &kubeconform,
        &[
            "-strict",
            "-summary",
            "-kubernetes-version=1.33.0",
            &format!("-schema-location={kubernetes}"),
            &format!("-schema-location={extensions}"),
        ],
        folder.path(),
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains(&format!("Valid: {count}, Invalid: 0, Errors: 0, Skipped: 0")), "of {count}: {printed}");
}

/// What kube-score would have otherwise, of which objects, and why it is as it is; helm/README.md lists the same.
const ACCEPTED: [(&str, &str, &str); 9] = [
    ("CPU limit is not set", "", "a limit on CPU throttles and protects nobody: requests share it out"),
    ("ImagePullPolicy is not set to Always", "", "tags are not moved, and a registry that is away must not stop a pod"),
    ("Deployment does not have a host podAntiAffinity set", "", "topology spread constraints do it"),
    ("Deployment few replicas", "-v2 ", "version 2 is on trial: version 1 stands beside it"),
    ("Deployment few replicas", "otel-collector ", "one collector has all spans of a trace"),
    ("Deployment update strategy", "otel-collector ", "two of them would each have half of a trace"),
    ("Deployment few replicas", " embedded", "SQLite has one process, and so has one NATS"),
    ("Deployment update strategy", " embedded", "a volume for one pod: the old one lets go of it first"),
    ("The NetworkPolicys selector doesn't match any pods", "-to-", "the stores are not of this chart"),
];

#[test]
fn kube_score_finds_nothing_that_is_not_explained() {
    let Some(kube_score) = program("kube-score") else { return };
    let mut met = [false; ACCEPTED.len()];
    let mut left = Vec::new();
    for (name, manifests) in every() {
        // Without its policies a pod has none.
        if name.contains("network.policy=false") {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "rendered", &manifests);
        let output = run(&kube_score, &["score", "--output-format", "ci"], folder.path());
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("[OK]"), "{name}: {printed}{}", String::from_utf8_lossy(&output.stderr));
        // One pod with SQLite is one, in each chart.
        let embedded = if name.contains("embedded") || name.contains("data.enabled") { " embedded" } else { "" };
        for line in printed.lines().filter(|line| !line.starts_with("[OK]") && !line.starts_with("[SKIPPED]")) {
            let line = format!("{line}{embedded}");
            let accepted = |(what, which, _): &(&str, &str, &str)| line.contains(what) && line.contains(which);
            match ACCEPTED.iter().position(accepted) {
                Some(index) => met[index] = true,
                None => left.push(format!("{name}: {line}")),
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
    for ((what, which, _), met) in ACCEPTED.iter().zip(met) {
        assert!(met, "{what} ({which}) is accepted and not met: take it out");
    }
}

#[test]
fn the_exceptions_are_explained_to_readers() {
    let readme = fs::read_to_string(root().join("helm/README.md")).unwrap();
    for (what, _, why) in ACCEPTED {
        assert!(readme.contains(what) && readme.contains(why), "{what}: {why}");
    }
}

/// istioctl takes minutes to build, so that it is for `make test-platform`. Without a cluster it looks at fields, gateways,
/// subsets and the order of routes, and at nothing that needs Services or Secrets: `mesh.rs` does.
#[test]
fn istioctl_has_nothing_to_say() {
    if env::var_os("TEST_PLATFORM").is_none_or(|value| value != "1") {
        return;
    }
    let Some(istioctl) = program("istioctl") else { return };
    for (name, mut manifests) in every() {
        manifests.extend(istio());
        for manifest in &mut manifests {
            manifest["metadata"]["namespace"] = json!("shop");
        }
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "rendered", &manifests);
        let analyze = ["analyze", "-A", "--use-kube=false", "--failure-threshold=Info"];
        let output = run(&istioctl, &analyze, folder.path());
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && printed.contains("No validation issues found"), "{name}: {printed}");
    }
}

#[test]
fn whatever_is_rendered_is_looked_at() {
    let every = every();
    if every.iter().all(|(_, manifests)| manifests.is_empty()) {
        return;
    }
    for kind in [
        "Deployment",
        "ServiceMonitor",
        "PersistentVolumeClaim",
        "ServiceEntry",
        "HorizontalPodAutoscaler",
        "PrometheusRule",
    ] {
        assert!(every.iter().any(|(_, manifests)| !of_kind(manifests, kind).is_empty()), "{kind}");
    }
}
