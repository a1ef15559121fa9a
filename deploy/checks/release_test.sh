#!/usr/bin/env bash
# Tests changelog.sh and release.sh on a small tree of their own.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
passed=0 failed=0

check() { # NAME, then a command that has to succeed
    if "${@:2}" >"$tree/out" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAULT: $1"
        cat "$tree/out"
    fi
}
refused() { ! "$@"; }
says() { [ "$("$here/changelog.sh" "$1" "$tree/CHANGELOG.md")" = "$2" ]; }
write() { # VERSION in each place
    mkdir -p "$tree/helm/trireme"
    printf '[workspace]\n[workspace.package]\nversion = "%s"\n' "$1" >"$tree/Cargo.toml"
    printf 'name: trireme\nversion: %s\nappVersion: "%s"\n' "$1" "$1" >"$tree/helm/trireme/Chart.yaml"
    printf 'image:\n  tag: %s\n' "$1" >"$tree/helm/trireme/values.yaml"
}
release() { ROOT="$tree" "$here/release.sh" "$1"; }
printf '%b' '# Changelog\n\n## Unreleased\n\n- soon\n\n' \
    '## [1.2.0] - 2026-02-01\n\n### Added\n\n- two\n\n' \
    '## 1.1.0 - 2026-01-01\n\n- one\n\n## 1.0.0\n\n' >"$tree/CHANGELOG.md"

check 'a section in brackets' says 1.2.0 $'### Added\n\n- two'
check 'a section without' says 1.1.0 '- one'
check 'no section' refused "$here/changelog.sh" 1.3.0 "$tree/CHANGELOG.md"
check 'an empty section' refused "$here/changelog.sh" 1.0.0 "$tree/CHANGELOG.md"
check 'dots are dots' refused "$here/changelog.sh" 1x2.0 "$tree/CHANGELOG.md"
check 'part of a version' refused "$here/changelog.sh" 1.2 "$tree/CHANGELOG.md"
write 1.2.0
check 'all say the same' release v1.2.0
check 'a tag without v' refused release 1.2.0
check 'a tag that is no version' refused release v1.2
check 'the workspace is elsewhere' refused release v1.1.0
for file in Cargo.toml helm/trireme/Chart.yaml helm/trireme/values.yaml; do
    write 1.2.0
    sed -i 's/1\.2\.0/1.2.1/' "$tree/$file"
    check "another version in $file" refused release v1.2.0
done
write 1.0.0
check 'nothing to tell' refused release v1.0.0
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
