#!/usr/bin/env bash
# changelog.sh VERSION [FILE]: prints what CHANGELOG.md says of that version, without its heading; fails where it says
# nothing. The heading is `## VERSION - DATE`, with or without brackets.
set -euo pipefail
[ $# -ge 1 ] || { echo 'usage: changelog.sh VERSION [FILE]' >&2; exit 2; }
version="$1"
file="${2:-$(dirname "$0")/../../CHANGELOG.md}"

# The version is compared as text: its dots are no wildcards.
notes="$(awk -v version="$version" '
    /^## / { name = $2; gsub(/[][]/, "", name); inside = name == version; next }
    inside { print }
' "$file" | sed -e '/./,$!d')"
[[ "$notes" == *[![:space:]]* ]] || { echo "CHANGELOG.md has no section ## $version, or an empty one" >&2; exit 1; }
printf '%s\n' "$notes"
