#!/usr/bin/env python3
"""Reads spans as the collector's file exporter writes them (OTLP in JSON, a line each), and prints the services of the
trace that has the most."""

import collections
import json
import sys

services = collections.defaultdict(set)
for line in sys.stdin:
    for resource in json.loads(line)["resourceSpans"]:
        attributes = {one["key"]: one["value"] for one in resource["resource"]["attributes"]}
        name = attributes["service.name"]["stringValue"]
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                services[span["traceId"]].add(name)
print(*sorted(max(services.values(), key=len, default=[])), sep="\n")
