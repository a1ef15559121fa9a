#!/usr/bin/env python3
"""Checks deploy/terraform without a cluster: format, rules, and every choice of stores applied with stand-ins for the
providers; what comes out is rendered with helm and compared with the Secrets that were made.

Needs terraform or tofu, go and helm on the path or in $SERVERS_DIR. What is missing is said; with TEST_ALL=1 it is an
error. With REAL_PROVIDERS=1 the real providers are fetched, and the configuration is validated against them, too.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "deploy/terraform"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
SERVERS = pathlib.Path(os.environ.get("SERVERS_DIR") or CACHE / "trireme/servers")
# .ci/deploy-tools puts PyYAML there.
sys.path.append(str(SERVERS / "python"))
import yaml  # noqa: E402

# The versions that the stand-in claims to have.
PROVIDERS = {"helm": "3.1.1", "kubernetes": "2.38.0", "random": "3.7.2"}
EXTERNAL = {
    "user_database_url": "postgres://u:hush@db.example.org/user?sslmode=verify-full",
    "order_database_url": "mongodb+srv://u:hush@db.example.org/order",
    "payment_database_url": "postgres://u:hush@db.example.org/payment?sslmode=verify-full",
    "provider_url": "sandbox+postgres://u:hush@db.example.org/provider?sslmode=verify-full",
    "bus_url": "tls://u:hush@bus.example.org:4222",
    "cache_url": "rediss://:hush@cache.example.org:6379",
    "lock_url": "rediss://:hush@cache.example.org:6379",
    "search_url": "https://shop:hush@search.example.org:9200",
}
EGRESS = [{"cidr": "192.0.2.0/24", "port": 5432}]
external = {"stores": "external", "external_stores": EXTERNAL, "external_egress": EGRESS}
# name: variables of the module.
GOOD = {
    "embedded": {"stores": "embedded"},
    "in the cluster": {"stores": "in_cluster", "nats_replicas": 1},
    "in the cluster, mesh, canaries": {
        "stores": "in_cluster",
        "mesh": True,
        "canary_tags": {"user": "9.9.9", "order": "9.9.8"},
    },
    "external": {
        **external,
        "image_tag": "1.2.3",
        "replicas": 5,
        "webhook_secret": "hush" * 8,
        "extra_values": {"user": "drainSeconds: 7"},
    },
}
# name: variables, and what has to be said.
BAD = {
    "no such stores": ({"stores": "cloud"}, "stores is embedded, in_cluster or external"),
    "no URLs": ({**external, "external_stores": None}, "external_stores is given with"),
    "no way out": ({**external, "external_egress": []}, "external_egress is given with"),
    "URLs for nothing": ({**external, "stores": "in_cluster"}, "external_stores is given with"),
    "a database of another kind": (
        {**external, "external_stores": {**EXTERNAL, "order_database_url": "mysql://db"}},
        "of a kind that it cannot be on",
    ),
    "latest": ({"stores": "in_cluster", "image_tag": "latest"}, "latest says nothing"),
    "latest as a canary": ({"stores": "in_cluster", "canary_tags": {"order": "latest"}}, "Name a version"),
    "a canary on a file": ({"stores": "embedded", "canary_tags": {"order": "2.0.0"}}, "A canary cannot stand"),
    "a short secret": ({"stores": "embedded", "webhook_secret": "hush"}, "at least 32 characters"),
    "values of nobody": ({"stores": "embedded", "extra_values": {"shop": "a: 1"}}, "extra_values is YAML by"),
    "half a replica": ({"stores": "in_cluster", "replicas": 1.5}, "a whole number"),
}
faults: list[str] = []


def fault(text: str) -> None:
    faults.append(text)
    print(f"FAULT: {text}")


def not_checked(text: str) -> None:
    print(f"NOT CHECKED: {text}")
    if os.environ.get("TEST_ALL"):
        fault(f"TEST_ALL wants it checked: {text}")


def find(*names: str) -> str | None:
    path = f"{SERVERS}{os.pathsep}{os.environ.get('PATH', '')}"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def run(*command: str | pathlib.Path, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)


def must(*command: str | pathlib.Path, **options) -> str:
    done = run(*command, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def rules() -> None:
    """What can be said of the text alone."""
    kept = must("git", "-C", ROOT, "ls-files", "deploy/terraform").split()
    for name in kept:
        if re.search(r"\.tfstate|\.tfvars|\.tfplan|/\.terraform/", name):
            fault(f"{name}: state and values are not kept in git")
    for folder in sorted({file.parent for file in HERE.rglob("*.tf")}):
        text = "\n".join(file.read_text() for file in sorted(folder.glob("*.tf")))
        where = folder.relative_to(ROOT)
        if not re.search(r'required_version = ">= 1\.8"', text):
            fault(f"{where}: no required_version")
        for source, version in re.findall(r'source\s*= "(hashicorp/\w+)"\n\s*version\s*= "([^"]*)"', text):
            if not version.startswith("~> "):
                fault(f"{where}: {source} has no upper bound: {version}")
        for kind in ("variable", "output"):
            for name, body in re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.M | re.S):
                if not re.search(r'^  description = "[A-Za-z].{10,}"', body, re.M):
                    fault(f"{where}: {kind} {name} has no description")
                if kind == "variable" and not re.search(
                    rf"\bvar\.{name}\b", re.sub(rf'^variable "{name}".*?^}}', "", text, flags=re.M | re.S)
                ):
                    fault(f"{where}: variable {name} is not used")
                hush = re.search(r"secret|password|token|credential", name) or re.search(r"sensitive\s*= true", body)
                if kind == "variable" and hush and not re.search(r"sensitive\s*= true.*default\s*= null", body, re.S):
                    fault(f"{where}: {name} is secret: it has to be sensitive and to have no default but null")


def mirror(folder: pathlib.Path, go: str) -> dict[str, str]:
    """Builds the stand-in and lays it where terraform and tofu look for providers. Returns the environment for them."""
    program = folder / "stand-in"
    must(
        go,
        "build",
        "-o",
        program,
        ".",
        cwd=ROOT / "deploy/checks/providers",
        env={**os.environ, "GOFLAGS": "-buildvcs=false -mod=readonly"},
    )
    platform = "_".join(must(go, "env", "GOOS", "GOARCH").split())
    for registry in ("registry.terraform.io", "registry.opentofu.org"):
        for name, version in PROVIDERS.items():
            place = folder / "mirror" / registry / "hashicorp" / name / version / platform
            place.mkdir(parents=True)
            os.link(program, place / f"terraform-provider-{name}_v{version}")
    settings = folder / "settings.tfrc"
    settings.write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder}/mirror"\n  }}\n}}\n'
    )
    return {**os.environ, "TF_CLI_CONFIG_FILE": str(settings), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}


def copy(folder: pathlib.Path) -> pathlib.Path:
    """The tree, where it may be written to."""
    shutil.copytree(
        HERE, folder / "deploy/terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars")
    )
    (folder / "helm").symlink_to(ROOT / "helm")
    return folder / "deploy/terraform"


def case(tree: pathlib.Path, number: int, variables: dict) -> pathlib.Path:
    """A root of its own that calls the module with these variables."""
    root = tree / "environments" / f"case-{number}"
    root.mkdir()
    call = {
        "source": "../../modules/trireme",
        **{name: value for name, value in variables.items() if value is not None},
    }
    (root / "main.tf.json").write_text(json.dumps({"module": {"trireme": call}}))
    return root


def flat(module: dict):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from flat(child)


def references(rendered: list[dict]):
    """Each Secret and key that a pod of what was rendered refers to."""

    def walk(node):
        if isinstance(node, dict):
            if "secretKeyRef" in node:
                yield node["secretKeyRef"]["name"], node["secretKeyRef"]["key"]
            if "secretName" in node:
                yield from ((node["secretName"], item["key"]) for item in node.get("items", []))
            for child in node.values():
                yield from walk(child)
        elif isinstance(node, list):
            for child in node:
                yield from walk(child)

    yield from walk(rendered)


def render(helm: str, release: dict, folder: pathlib.Path) -> subprocess.CompletedProcess:
    files = []
    for number, text in enumerate(release["values"]):
        values = folder / f"values-{number}.yaml"
        values.write_text(text)
        files += ["-f", values]
    module = folder / "deploy/terraform/modules/trireme"
    return run(helm, "template", release["name"], release["chart"], "-n", release["namespace"], *files, cwd=module)


def judge(name: str, variables: dict, state: dict, helm: str, folder: pathlib.Path) -> None:
    """Renders the releases of the services and holds them against what was made beside them."""
    resources = list(flat(state["values"]["root_module"]))
    made = {(r["type"], r["name"], r.get("index")): r["values"] for r in resources}
    secrets = {
        index: its["data"]
        for (kind, what, index), its in made.items()
        if (kind, what) == ("kubernetes_secret_v1", "service")
    }
    passwords = {its["result"] for (kind, _, _), its in made.items() if kind == "random_password"} | {"hush"}
    everything: list[dict] = []
    for service in ("user", "order", "payment"):
        done = render(helm, made["helm_release", "service", service], folder)
        if done.returncode:
            fault(f"{name}: helm refuses the values of {service}: {done.stderr.strip()}")
            continue
        if any(password in done.stdout for password in passwords):
            fault(f"{name}: a secret stands in the release of {service}")
        rendered = [part for part in yaml.safe_load_all(done.stdout) if part]
        everything += rendered
        images(name, service, variables, rendered)
        own = yaml.safe_load((ROOT / f"helm/values/{service}.yaml").read_text())["secretConfig"].values()
        for secret, key in {(its["secret"], its["key"]) for its in own} - set(references(rendered)):
            if variables["stores"] != "embedded":
                fault(f"{name}: {service} does not get {key} of the Secret {secret}, as helm/values says")
        if variables["stores"] != "external":
            reach(
                name,
                service,
                secrets[service],
                rendered,
                {index for kind, what, index in made if (kind, what) == ("helm_release", "store")},
            )
        if any(part["apiVersion"].startswith("networking.istio.io") for part in rendered) != variables.get(
            "mesh", False
        ):
            fault(f"{name}: the mesh's switch does nothing for {service}")
    used = set(references(everything))
    held = {(secret, key) for secret, data in secrets.items() for key in data or {}}
    for secret, key in sorted(used - held):
        fault(f"{name}: a pod reads {key} of the Secret {secret}, which has not got it")
    for secret, key in sorted(held - used):
        fault(f"{name}: nobody reads {key} of the Secret {secret}")
    variables_once(name, everything)
    print(
        f"ok: {name}: {len(resources)} resources, {len(everything)} objects in three releases,",
        f"{len(used)} keys of Secrets",
    )


def reach(name: str, service: str, secret: dict, rendered: list[dict], stores: set[str]) -> None:
    """Each store that a URL of the service names is installed, and the service's network policy lets it through."""
    policy = next(part for part in rendered if part["kind"] == "NetworkPolicy" and part["metadata"]["name"] == service)
    ways = set()
    for rule in policy["spec"]["egress"]:
        for to in rule.get("to", []):
            store = to.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/instance")
            space = to.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
            ways |= {f"{store}.{space}.svc.cluster.local:{port['port']}" for port in rule["ports"]}
    for url in filter(lambda value: "://" in value, secret.values()):
        place = re.search(r"@([^/?]+)", url)[1]
        if place.partition(".")[0] not in stores or place not in ways:
            fault(f"{name}: {service} cannot reach {place}: installed are {sorted(stores)}, open is {sorted(ways)}")


def images(name: str, service: str, variables: dict, rendered: list[dict]) -> None:
    deployed = [part for part in rendered if part["kind"] in ("Deployment", "StatefulSet")]
    tags = {c["image"].rpartition(":")[2] for part in deployed for c in containers(part)}
    canary, tag = variables.get("canary_tags", {}).get(service), variables.get("image_tag")
    if len(tags) != (2 if canary else 1) or (canary and canary not in tags) or (tag and tag not in tags):
        fault(f"{name}: {service} runs {sorted(tags)}, wanted are {tag or 'its own'} and the canary {canary}")
    if variables.get("extra_values", {}).get(service) and not any(
        its.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds") == 7
        for part in deployed
        for its in containers(part)
    ):
        fault(f"{name}: the extra values of {service} do nothing")
    want = variables.get("replicas", 3) if variables["stores"] != "embedded" else 1
    have = {part["spec"].get("replicas") for part in deployed if part["metadata"]["name"] == service}
    scaled = [part["spec"]["minReplicas"] for part in rendered if part["kind"] == "HorizontalPodAutoscaler"]
    if have - {None, want} or set(scaled) - {want}:
        fault(f"{name}: {service} has {have} replicas, scaled from {scaled}, wanted are {want}")


def variables_once(name: str, rendered: list[dict]) -> None:
    """A variable comes from one place."""
    plain = {part["metadata"]["name"]: set(part.get("data", {})) for part in rendered if part["kind"] == "ConfigMap"}
    for part in rendered:
        for its in containers(part):
            names = [entry["name"] for entry in its.get("env", [])]
            for source in its.get("envFrom", []):
                names += plain.get(source.get("configMapRef", {}).get("name"), ())
            twice = sorted({each for each in names if names.count(each) > 1})
            if twice:
                fault(f"{name}: {part['kind']} {part['metadata']['name']} sets {twice} twice")


def containers(part: dict) -> list[dict]:
    return (
        part.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        if isinstance(part.get("spec"), dict)
        else []
    )


def apply(tool: str, tree: pathlib.Path, folder: pathlib.Path, environment: dict, helm: str | None) -> None:
    for number, (name, variables) in enumerate(GOOD.items()):
        root = case(tree, number, variables)
        must(tool, "init", "-input=false", "-backend=false", "-no-color", cwd=root, env=environment)
        done = run(tool, "apply", "-auto-approve", "-input=false", "-no-color", cwd=root, env=environment)
        if done.returncode:
            fault(f"{name}: {done.stderr}")
        elif helm:
            judge(name, variables, json.loads(must(tool, "show", "-json", cwd=root, env=environment)), helm, folder)
            again = run(tool, "plan", "-detailed-exitcode", "-input=false", "-no-color", cwd=root, env=environment)
            if again.returncode != 0:
                fault(f"{name}: a second plan is not empty: {again.stdout}{again.stderr}")
    for number, (name, (variables, reason)) in enumerate(BAD.items()):
        root = case(tree, 100 + number, variables)
        must(tool, "init", "-input=false", "-backend=false", "-no-color", cwd=root, env=environment)
        done = run(tool, "plan", "-input=false", "-no-color", cwd=root, env=environment)
        said = re.sub(r"[\s│]+", " ", done.stderr)
        if done.returncode == 0 or reason not in said:
            fault(f"{name} has to be refused with '{reason}', and is: {said or 'planned'}")
        else:
            print(f"ok: refused: {name}")


def main() -> int:
    rules()
    tool, go, helm = find("tofu", "terraform"), find("go"), find("helm")
    if not tool:
        not_checked("format, validation and plan of deploy/terraform. Install OpenTofu or Terraform.")
        return bool(faults)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tree = copy(folder)
        done = run(tool, "fmt", "-check", "-recursive", "-diff", tree)
        if done.returncode:
            fault(f"fmt: {done.stdout}{done.stderr}")
        if os.environ.get("REAL_PROVIDERS"):
            root = tree / "environments/local"
            must(tool, "init", "-input=false", "-backend=false", "-no-color", cwd=root)
            print("real providers:", must(tool, "validate", "-no-color", cwd=root).strip())
            shutil.rmtree(root / ".terraform")
            (root / ".terraform.lock.hcl").unlink()
        else:
            print("NOT CHECKED: the configuration against the real providers (REAL_PROVIDERS=1 fetches them).")
        if not helm:
            not_checked("what the release renders to. Install helm (make servers).")
        if not go:
            not_checked("validation and plan of deploy/terraform. Install Go to build the stand-ins for the providers.")
            return bool(faults)
        environment = mirror(folder, go)
        root = tree / "environments/local"
        must(tool, "init", "-input=false", "-backend=false", "-no-color", cwd=root, env=environment)
        print("stand-in providers:", must(tool, "validate", "-no-color", cwd=root, env=environment).strip())
        must(
            tool,
            "apply",
            "-auto-approve",
            "-input=false",
            "-no-color",
            "-var=context=kind-trireme",
            cwd=root,
            env=environment,
        )
        print(must(tool, "output", "-raw", "next", cwd=root, env=environment))
        apply(tool, tree, folder, environment, helm)
    print("NOT CHECKED: whether a cluster takes it; the charts of the stores, which a registry serves.")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
