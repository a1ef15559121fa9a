#!/usr/bin/env python3
"""Reads each dashboard as Grafana's own types have it (grafana-foundation-sdk, made of Grafana's schemas), and writes it
again: what is lost on the way is not of the schema. Then puts in a field that is not, to see that it would be found."""

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
# .ci/deploy-tools puts it there.
sys.path.append(str(pathlib.Path(os.environ.get("SERVERS_DIR") or CACHE / "trireme/servers") / "python"))
try:
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard
except ImportError:
    print("NOT CHECKED: Grafana's schema of dashboards. Install it (.ci/deploy-tools).")
    sys.exit(bool(os.environ.get("TEST_ALL") or os.environ.get("CI")))


def lost(before, after, place: str) -> list[str]:
    """What is in the one and not, or not the same, in the other."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [fault for key, value in before.items() for fault in lost(value, after.get(key), f"{place}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after))
        return [fault for index, (one, other) in pairs for fault in lost(one, other, f"{place}[{index}]")]
    # What is empty may be left out.
    return [] if before == after or (not before and after is None) else [f"{place}: {before!r} is read as {after!r}"]


def faults(dashboard: dict, name: str) -> list[str]:
    try:
        read = Dashboard.from_json(dashboard)
        return lost(dashboard, json.loads(JSONEncoder().encode(read)), name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"{name}: {error}"]


def main() -> int:
    register_default_plugins()
    files = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    found = [fault for file in files for fault in faults(json.loads(file.read_text()), file.name)]
    for path in ("uidd",), ("panels", 1, "titel"), ("panels", 1, "options", "legned"), ("panels", 1, "targets", 0, "exrp"):
        broken = json.loads(files[0].read_text())
        place = broken
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = "unknown"
        if not faults(broken, "broken"):
            found.append(f"this check does not find {path}")
    for fault in found:
        print(f"FAULT: {fault}")
    print(f"{len(files)} dashboards, 4 ways to break them, {len(found)} faults")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
