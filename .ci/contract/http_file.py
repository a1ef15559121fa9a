#!/usr/bin/env python3
"""Runs a file of requests in the format of VS Code's REST Client, and holds each answer to its `# expect STATUS`."""

import json
import os
import re
import sys
import urllib.error
import urllib.request
import uuid


def lookup(path: str, answers: dict) -> str:
    """`name.response.body.$.a[0].b` or `name.response.headers.ETag`."""
    name, _, part, rest = path.split(".", 3)
    headers, body = answers[name]
    if part == "headers":
        return headers[rest]
    value = json.loads(body)
    for step in re.findall(r"\w+", rest.removeprefix("$")):
        value = value[int(step) if step.isdigit() else step]
    return str(value)


def fill(text: str, variables: dict, answers: dict) -> str:
    def value(match: re.Match) -> str:
        name = match[1].strip()
        if name.startswith("$processEnv "):
            return os.environ[name.split()[1]]
        if name == "$guid":
            return str(uuid.uuid4())
        return variables[name] if name in variables else lookup(name, answers)

    return re.sub(r"\{\{(.+?)\}\}", value, text)


def send(request: str) -> tuple[int, object, bytes]:
    head, _, body = request.partition("\n\n")
    first, *lines = head.strip().splitlines()
    method, url = first.split(" ", 1)
    headers = dict(line.split(": ", 1) for line in lines)
    data = body.strip().encode() if body.strip() else (b"" if method == "POST" else None)
    asked = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=15) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def main(file: str) -> int:
    preamble, *blocks = re.split(r"^###", open(file).read(), flags=re.MULTILINE)
    variables, answers, failed = {}, {}, 0
    for name, value in re.findall(r"^@(\w+) = (.*)$", preamble, re.MULTILINE):
        variables[name] = fill(value, variables, answers)
    for block in blocks:
        title, _, rest = block.partition("\n")
        notes = dict(re.findall(r"^# @?(name|expect) (\S+)$", rest, re.MULTILINE))
        request = "\n".join(line for line in rest.splitlines() if not line.startswith("#"))
        status, headers, body = send(fill(request, variables, answers))
        if "name" in notes:
            answers[notes["name"]] = headers, body
        good = status == int(notes["expect"])
        failed += not good
        print(f"{'ok' if good else 'NOT OK'} {status} {title.strip()}")
        if not good:
            print(body.decode(errors="replace"))
    print(f"{len(blocks)} requests, {failed} not as expected")
    return 1 if failed or not blocks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
