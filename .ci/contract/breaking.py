#!/usr/bin/env python3
"""Finds what breaks clients between a commit's documents and these; the changelog has to name each operation of it."""

import json
import pathlib
import subprocess
import sys
import tempfile


def committed(base: str, file: str) -> str | None:
    """The document as it was, or nothing where there was none."""
    shown = subprocess.run(["git", "show", f"{base}:{file}"], capture_output=True, text=True)
    return shown.stdout if shown.returncode == 0 else None


def breaking(oasdiff: str, old: str, new: str) -> list[dict]:
    command = [oasdiff, "breaking", "--format", "json", old, new]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(found or "[]") or []


def unreleased() -> str:
    text = pathlib.Path("CHANGELOG.md").read_text()
    return text.split("## Unreleased", 1)[1].split("\n## ", 1)[0]


def unnamed(change: dict, log: str) -> bool:
    return f"`{change['operation']} {change['path']}`" not in log


def main(oasdiff: str, base: str, *documents: str) -> int:
    log, missing = unreleased(), []
    for document in documents:
        before = committed(base, document)
        if before is None:
            print(f"{document}: new")
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".json") as old:
            old.write(before)
            old.flush()
            changes = breaking(oasdiff, old.name, document)
        print(f"{document}: {len(changes)} breaking")
        missing += [(document, change) for change in changes if unnamed(change, log)]
    for document, change in missing:
        print(f"{document}: {change['operation']} {change['path']}: {change['text']}", file=sys.stderr)
        print("  CHANGELOG.md does not name it under Unreleased, as `METHOD path`", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
