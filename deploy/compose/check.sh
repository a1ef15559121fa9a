#!/usr/bin/env bash
# Checks the running stack: privileges, what can be reached from outside, and memory.
#
#   deploy/compose/check.sh [ARGUMENT OF docker compose]…        such as -f FILE or --profile NAME
set -euo pipefail
cd "$(dirname "$0")/../.."

most=$((1 << 30))
# One line for each container.
facts='{{.Name}} {{or .Config.User "root"}} {{.HostConfig.Privileged}} {{not .HostConfig.ReadonlyRootfs}}'
facts+=' {{json .HostConfig.CapDrop}}{{json .HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}}'
facts+=' {{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}}:{{.HostPort}} {{end}}{{end}}'
fail() { echo "$*" >&2; exit 1; }

mapfile -t running < <(docker compose "$@" ps -q)
[ "${#running[@]}" -gt 0 ] || fail 'nothing runs: make up'

containers="$(docker inspect --format "$facts" "${running[@]}")"
while read -r name user privileged writable capabilities options ports; do
    case "$user" in root | 0 | 0:*) fail "$name runs as root" ;; esac
    [ "$privileged$writable" = falsefalse ] || fail "$name is privileged or writable"
    [[ "$capabilities" =~ ^\[\"ALL\"\](\[\]|null)$ ]] || fail "$name has capabilities"
    [ "$options" = '[no-new-privileges:true]' ] || fail "$name may gain privileges"
    for port in $ports; do
        [[ "$port" == 127.0.0.1:* ]] || fail "$name is published on $port"
        echo "$name is published on $port"
    done
done <<<"$containers"

limits=0
memory="$(docker inspect --format '{{.HostConfig.Memory}}' "${running[@]}")"
while read -r limit; do
    [ "$limit" -gt 0 ] || fail 'a container has no limit of memory'
    limits=$((limits + limit))
done <<<"$memory"
docker stats --no-stream --format '{{.Name}}\t{{.MemUsage}}' "${running[@]}"
used="$(docker stats --no-stream --format '{{.MemUsage}}' "${running[@]}" | awk '
    BEGIN { scale["B"] = 1; scale["KiB"] = 2 ^ 10; scale["MiB"] = 2 ^ 20; scale["GiB"] = 2 ^ 30 }
    { unit = $1; sub(/[0-9.]+/, "", unit); if (!(unit in scale)) exit 1; sum += $1 * scale[unit] }
    END { printf "%d", sum }')"
echo "memory: $((used >> 20)) MiB used, $((limits >> 20)) MiB at most"
[ "$used" -lt "$most" ] || fail 'that is more than 1 GiB'
