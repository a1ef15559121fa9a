#!/usr/bin/env bash
# release.sh TAG: fails unless the tag is the version that the workspace, the charts and CHANGELOG.md name.
set -euo pipefail
[ $# = 1 ] || { echo 'usage: release.sh vVERSION' >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
cd "${ROOT:-$here/../..}"
version="${1#v}"
wrong=0

same() { # WHERE, what it says
    [ "$2" = "$version" ] || { echo "$1 says ${2:-nothing}, the tag says $version" >&2; wrong=1; }
}

[ "$1" = "v$version" ] || { echo "a release is tagged vVERSION, not $1" >&2; exit 1; }
[[ "$version" =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "$version is not a version" >&2; exit 1; }
# of FILE SECTION KEY: what the first such key says that comes after the section's line.
of() {
    awk -v section="$2" -v key="$3" '
        index($0, section) == 1 { inside = 1 }
        inside && $1 == key { gsub(/"/, "", $NF); print $NF; exit }
    ' "$1"
}

same Cargo.toml "$(of Cargo.toml '[workspace.package]' version)"
for chart in helm/*/Chart.yaml; do
    same "$chart: version" "$(of "$chart" '' version:)"
    same "$chart: appVersion" "$(of "$chart" '' appVersion:)"
done
same 'helm/trireme/values.yaml: image.tag' "$(of helm/trireme/values.yaml image: tag:)"
"$here/changelog.sh" "$version" CHANGELOG.md >/dev/null || wrong=1
exit "$wrong"
