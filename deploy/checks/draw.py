#!/usr/bin/env python3
"""Draws the dashboards where there is no Grafana: asks Prometheus what each panel asks, and writes a page for each with
its graphs as SVG.

  deploy/checks/draw.py PROMETHEUS-URL FOLDER [MINUTES]        default: 15
"""

import html
import json
import math
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, LEFT, BOTTOM = 460, 190, 60, 20
COLOURS = ["#3274d9", "#e0752d", "#299c46", "#c4162a", "#8f3bb8", "#b8860b", "#0e7c86", "#6b6b6b"]
STYLE = """body{font:14px sans-serif;margin:16px;background:#f4f5f5;color:#222} h1{font-size:20px} h2{font-size:15px;margin:14px 0 6px}
.row{display:flex;gap:8px;flex-wrap:wrap} .panel{background:#fff;border:1px solid #ddd;padding:8px;width:460px}
.panel h3{font-size:13px;margin:0 0 4px} .legend{font-size:11px} .stat{font-size:30px} .none{color:#c4162a}"""


def ask(url: str, expression: str, start: float, end: float) -> list[dict]:
    step = max(5, int((end - start) / 120))
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{query}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.3g} %" if abs(value) < 10 else f"{value * 100:,.0f} %"
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    for factor, name in ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB")):
        if unit == "bytes" and abs(value) >= factor:
            return f"{value / factor:.3g}{name}"
    return f"{value:.4g}" + {"s": " s", "reqps": "/s", "bytes": " B"}.get(unit, "")


def legend(template: str, labels: dict) -> str:
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), template).strip() or "value"


def graph(lines: list[tuple[str, list]], unit: str, start: float, end: float) -> str:
    """Lines over time, with the highest and the lowest value at the side."""
    values = [value for _, points in lines for _, value in points]
    low, high = min(0.0, *values), max(values)
    high = high if high > low else low + 1
    x = lambda at: LEFT + (at - start) / (end - start) * (WIDTH - LEFT - 8)
    y = lambda value: 8 + (1 - (value - low) / (high - low)) * (HEIGHT - BOTTOM - 8)
    parts = [f'<svg width="{WIDTH}" height="{HEIGHT}">']
    for part in range(5):
        value = low + (high - low) * part / 4
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e5e5e5"/>'
            f'<text x="{LEFT - 4}" y="{y(value) + 4:.1f}" font-size="10" text-anchor="end">{shown(value, unit)}</text>'
        )
    for part in range(4):
        at = start + (end - start) * part / 3
        anchor = ("start", "middle", "middle", "end")[part]
        label = time.strftime("%H:%M:%S", time.gmtime(at))
        parts.append(f'<text x="{x(at):.1f}" y="{HEIGHT - 4}" font-size="10" text-anchor="{anchor}">{label}</text>')
    for index, (_, points) in enumerate(lines):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "".join(parts) + "</svg>"


def panel(url: str, one: dict, start: float, end: float) -> tuple[str, bool]:
    """Its HTML, and whether it has data."""
    unit, lines = one["fieldConfig"]["defaults"]["unit"], []
    for target in one["targets"]:
        for series in ask(url, target["expr"], start, end):
            points = [(float(at), float(value)) for at, value in series["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                lines.append((legend(target["legendFormat"], series["metric"]), points))
    if not lines:
        body = '<p class="none">no data</p>'
    elif one["type"] == "stat":
        body = "".join(f'<p><span class="stat">{shown(p[-1][1], unit)}</span> {html.escape(name)}</p>' for name, p in lines)
    else:
        names = (f'<span style="color:{COLOURS[i % len(COLOURS)]}">■</span> {html.escape(n)}' for i, (n, _) in enumerate(lines))
        body = graph(lines, unit, start, end) + f'<div class="legend">{" &nbsp; ".join(names)}</div>'
    return f'<div class="panel"><h3>{html.escape(one["title"])}</h3>{body}</div>', bool(lines)


def page(url: str, dashboard: dict, start: float, end: float) -> tuple[str, list[str]]:
    """The page, and the titles of the panels without data."""
    parts, empty = [f"<meta charset=utf-8><style>{STYLE}</style><h1>{html.escape(dashboard['title'])}</h1><div>"], []
    for one in dashboard["panels"]:
        if one["type"] == "row":
            parts.append(f'</div><h2>{html.escape(one["title"])}</h2><div class="row">')
            continue
        drawn, has_data = panel(url, one, start, end)
        parts.append(drawn)
        if not has_data:
            empty.append(one["title"])
    return "".join(parts) + "</div>", empty


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    url, folder, end = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2]), time.time()
    start = end - 60 * float(sys.argv[3] if len(sys.argv) == 4 else 15)
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        text, empty = page(url, json.loads(file.read_text()), start, end)
        target = folder / f"{file.stem}.html"
        target.write_text(text)
        print(f"{target}" + (f": no data for {', '.join(empty)}" if empty else ""))


if __name__ == "__main__":
    main()
