#!/usr/bin/env bash
# Makes graphiql.html.gz, the page at /graphql: GraphiQL and React as npm has them, in one document that loads nothing.
# What comes out is in git, so that a build needs no network; run this to take newer versions.
set -euo pipefail
cd "$(dirname "$0")"
packages=(graphiql@3.9.0 react@18.3.1 react-dom@18.3.1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "${packages[@]}" >/dev/null && for file in *.tgz; do
  mkdir "${file%-[0-9]*}" && tar xzf "$file" -C "${file%-[0-9]*}" --strip-components 1
done)
python3 - "$work" <<'PYTHON'
import base64, gzip, hashlib, pathlib, re, sys
work = pathlib.Path(sys.argv[1])
read = lambda name: (work / name).read_text()
# Without its fonts, which are most of it.
style = re.sub(r"@font-face\s*\{[^}]*\}", "", read("graphiql/graphiql.min.css"))
scripts = ["react/umd/react.production.min.js", "react-dom/umd/react-dom.production.min.js", "graphiql/graphiql.min.js"]
script = "\n".join(map(read, scripts)) + "\n" + pathlib.Path("start.js").read_text()
script = re.sub(r"//# sourceMappingURL=\S+", "", script).replace("</script", "<\\/script")
page = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>GraphiQL</title>'
    f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}body{{margin:0}}#graphiql{{height:100vh}}</style>'
    f'</head><body><div id="graphiql"></div><script>{script}</script></body></html>'
)
pathlib.Path("graphiql.html.gz").write_bytes(gzip.compress(page.encode(), 9, mtime=0))
hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
pathlib.Path("licenses.txt").write_text("\n".join(f"{name}\n\n" + read(f"{name}/LICENSE") for name in ("graphiql", "react")))
pathlib.Path("graphiql.csp").write_text(
    f"default-src 'none'; script-src 'sha256-{hash}'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PYTHON
ls -l graphiql.html.gz
