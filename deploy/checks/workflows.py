#!/usr/bin/env python3
"""Checks .github/workflows: pinned actions, least permissions, nothing of others in a script, and that what they run
exists. Then breaks a copy in each way that it looks for, to see that it would be found; and runs actionlint.
And whether what we depend on is checked wherever everything is asked for.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
SERVERS = pathlib.Path(os.environ.get("SERVERS_DIR") or CACHE / "trireme/servers")
# .ci/deploy-tools puts PyYAML there.
sys.path.append(str(SERVERS / "python"))
import yaml  # noqa: E402

# Values that nobody outside the repository can choose.
OURS = re.compile(r"matrix\.\w+")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


def faults(text: str) -> list[str]:
    """All that is wrong with one workflow."""
    flow = yaml.safe_load(text)
    found = []
    triggers = flow[True]  # YAML 1.1 reads `on` so.
    if "pull_request_target" in triggers:
        found.append("pull_request_target runs a stranger's change with our rights")
    if flow.get("permissions") not in ({}, {"contents": "read"}):
        found.append(f"permissions of the workflow are {flow.get('permissions')}: write {{}} and give them to jobs")
    if "group" not in flow.get("concurrency", {}):
        found.append("no concurrency group")
    lines = text.splitlines()
    for number, line in enumerate(lines):
        use = re.search(r"uses: (\S+)", line)
        if use and not use[1].startswith("./"):
            if not re.search(r"@[0-9a-f]{40}$", use[1]):
                found.append(f"{use[1]} is not pinned by a commit")
            elif not re.fullmatch(r"\s*# v\d+\.\d+\.\d+", lines[number - 1]):
                found.append(f"{use[1]}: the line above does not name its version")
    for name, job in flow["jobs"].items():
        found += [f"job {name}: {fault}" for fault in of_job(job)]
    return found


def of_job(job: dict) -> list[str]:
    found = []
    if not isinstance(job.get("permissions"), dict):
        found.append("no permissions of its own")
    if "uses" in job:
        return found if (ROOT / job["uses"]).is_file() else [*found, f"there is no {job['uses']}"]
    if not job.get("timeout-minutes"):
        found.append("no timeout")
    if not re.fullmatch(r"ubuntu-\d+\.\d+(-arm)?|\$\{\{ matrix\.machine\.name \}\}", job["runs-on"]):
        found.append(f"runs on {job['runs-on']}, whose version moves")
    targets = job.get("strategy", {}).get("matrix", {}).get("target", [])
    for step in job["steps"]:
        if (
            step.get("uses", "").startswith("actions/checkout@")
            and step.get("with", {}).get("persist-credentials") is not False
        ):
            found.append("checkout leaves its credentials behind")
        script = step.get("run", "")
        for value in re.findall(r"\$\{\{\s*(.*?)\s*\}\}", script):
            if not OURS.fullmatch(value):
                found.append(f"{value} stands in a script: pass it in env")
        for target in re.findall(r"\bmake ([a-z-]+|\$\{\{ matrix\.target \}\})", script):
            found += [
                f"make has no {each}" for each in (targets if "matrix" in target else [target]) if each not in TARGETS
            ]
        for path in re.findall(r"(?:^|[\s\"])((?:\.ci|deploy|helm)/[\w./-]+)", script, re.M):
            if not (ROOT / path).exists():
                found.append(f"there is no {path}")
    return found


# What is put in place of what, and what has to be said then.
BREAKS = [
    (r"@[0-9a-f]{40}", "@v5", "not pinned"),
    (r"# v\d+\.\d+\.\d+", "# newest", "does not name its version"),
    (r"^permissions: \{\}", "permissions: write-all", "permissions of the workflow"),
    (r"^    permissions:\n(      .*\n)+", "", "no permissions of its own"),
    (r"^    timeout-minutes: .*\n", "", "no timeout"),
    (r"^concurrency:", "env:", "no concurrency group"),
    (r"persist-credentials: false", "persist-credentials: true", "leaves its credentials"),
    (r"ubuntu-24\.04$", "ubuntu-latest", "whose version moves"),
    (r"^  push:", "  pull_request_target:", "a stranger's change"),
    (r"^      - run: .*", "      - run: echo ${{ github.head_ref }}", "stands in a script"),
    (r"^      - run: .*", "      - run: make tset", "make has no tset"),
    (r"^      - run: .*", "      - run: .ci/srevers", "there is no .ci/srevers"),
]


def dependencies() -> list[str]:
    """How what we depend on is checked: a tool that is missing is no success, and advisories are asked for by time."""
    found = []
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    asked = [
        job for job in flow["jobs"].values() if any(step.get("run") == "make advisories" for step in job["steps"])
    ]
    if not {"push", "schedule"} <= set(flow[True]) or not asked or any("if" in job for job in asked):
        found.append("ci.yml does not ask for advisories with each push and every night")
    path = [each for each in os.environ["PATH"].split(os.pathsep) if not (pathlib.Path(each) / "cargo-deny").exists()]
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "TEST_ALL", "MAKEFLAGS")}
    with tempfile.TemporaryDirectory() as empty:
        clean |= {"PATH": os.pathsep.join(path), "SERVERS_DIR": empty}
        for where, fails in ({}, False), ({"TEST_ALL": "1"}, True), ({"CI": "true"}, True):
            done = subprocess.run(["make", "deny"], cwd=ROOT, env=clean | where, capture_output=True, timeout=120)
            if bool(done.returncode) != fails or not done.stderr:
                found.append(f"make deny without cargo-deny ends with {done.returncode} where the environment has {where}")
    return found


def main() -> int:
    files = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
    found = [f"{file.name}: {fault}" for file in files for fault in faults(file.read_text())]
    sample = (ROOT / ".github/workflows/ci.yml").read_text()
    for pattern, instead, wanted in BREAKS:
        broken, times = re.subn(pattern, lambda _: instead, sample, count=1, flags=re.M)
        if not times or not any(wanted in fault for fault in faults(broken)):
            found.append(f"this check does not find what it has to: {wanted}")
    found += dependencies()
    linter = shutil.which("actionlint", path=f"{SERVERS}{os.pathsep}{os.environ.get('PATH', '')}")
    if linter:
        done = subprocess.run([linter, *map(str, files)], capture_output=True, text=True, timeout=120)
        found += done.stdout.splitlines() if done.returncode else []
    else:
        print("NOT CHECKED: what actionlint knows. Install it (.ci/deploy-tools).")
        if os.environ.get("TEST_ALL"):
            found.append("TEST_ALL wants actionlint")
    for fault in found:
        print(f"FAULT: {fault}")
    print(f"{len(files)} workflows, {len(BREAKS)} ways to break them, {len(found)} faults")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
