#!/usr/bin/env bash
# Inspects the four images, and runs each as it is meant to be run: not as root, on a read-only file system.
#
#   deploy/images/check.sh [TAG]        default: dev
set -euo pipefail
cd "$(dirname "$0")/../.."

tag="${1:-dev}"
most=$((46 << 20))
hardened=(--read-only --cap-drop ALL --security-opt no-new-privileges)
work="$(mktemp -d)"
container=
trap '[ -z "$container" ] || docker rm -f "$container" >/dev/null; rm -rf "$work"' EXIT

fail() { echo "$name: $*" >&2; exit 1; }
is() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; }
inspect() { docker image inspect --format "$1" "$image"; }
label() { inspect "{{index .Config.Labels \"org.opencontainers.image.$1\"}}"; }

# What Docker itself puts into a container's file system is left out.
files() {
    container="$(docker create "$image")"
    docker export "$container" | tar -t | grep -v '/$' |
        grep -vE '^(\.dockerenv|dev/console|etc/(hostname|hosts|mtab|resolv\.conf))$' | sort
    docker rm "$container" >/dev/null
    container=
}

contents() {
    local known='^(service|etc/(passwd|group)|etc/ssl/certs/ca-certificates\.crt|lib(64)?/.*\.so\.[0-9]+)$'
    files >"$work/files"
    if grep -vE "$known" "$work/files"; then fail 'holds what it should not'; fi
    grep -qx service "$work/files" || fail 'holds no binary'
}

labels() {
    is 'its title' "$(label title)" "$name"
    is 'its licence' "$(label licenses)" Apache-2.0
    for key in source version revision; do [ -n "$(label "$key")" ] || fail "has no label $key"; done
}

# Its own health check finds it well, on embedded stores in the one folder that it may write to; and it stops by itself.
serves() {
    mkdir -m 777 "$work/$name"
    for secret in service.credential webhook.secret; do
        head -c 32 /dev/urandom | base64 >"$work/$name/$secret"
        chmod 644 "$work/$name/$secret"
    done
    container="$(docker run -d "${hardened[@]}" -v "$work/$name:/.trireme" "$image")"
    local health
    for _ in $(seq 60); do
        health="$(docker inspect --format '{{.State.Health.Status}}' "$container")"
        [ "$health" = healthy ] && break
        sleep 0.5
    done
    [ "$health" = healthy ] || { docker logs "$container" >&2; fail "is $health after 30 s"; }
    docker stop -t 15 "$container" >/dev/null
    is 'the exit code after SIGTERM' "$(docker inspect --format '{{.State.ExitCode}}' "$container")" 0
    docker rm "$container" >/dev/null
    container=
}

name=Dockerfile
tools="${SERVERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme/servers}"
PATH="$tools:$PATH" hadolint deploy/Dockerfile
is 'rust' "$(sed -n 's/^FROM rust:\([0-9.]*\)-.*/\1/p' deploy/Dockerfile)" \
    "$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)"

for name in user order payment trireme; do
    image="ghcr.io/trireme/$name:$tag"
    size="$(inspect '{{.Size}}')"
    [ "$size" -lt "$most" ] || fail "has $size bytes, more than $most"
    is 'its user' "$(inspect '{{.Config.User}}')" 65532:65532
    labels
    contents
    version="$(docker run --rm --network none "${hardened[@]}" "$image" --version)"
    [[ "$version" == "$name "* ]] || fail "says '$version'"
    [ "$name" = trireme ] || serves
    awk -v name="$name" -v size="$size" -v version="$version" \
        'BEGIN { printf "%-8s %5.1f MiB  %s\n", name, size / 1048576, version }'
done
