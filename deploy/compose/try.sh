#!/usr/bin/env bash
# Tries the stack as a person would: up from empty volumes, an order through its entry point, a check of it; then version 2
# beside it, an order for the canary; then cache and locks on a Redis Cluster, an order on that; then an order that is
# watched; and down again. It has names and ports of its own, so that a stack that runs stays as it is. Where there is no
# APISIX (deploy/images/stand-ins.sh) the entry point is the mesh's Envoy, Jaeger is a file, and there are no Grafana and no Loki.
#
#   deploy/compose/try.sh [TAG]        default: dev
set -euo pipefail
cd "$(dirname "$0")/../.."

export TAG="${1:-dev}" COMPOSE_PROJECT_NAME=trireme-try GATEWAY_PORT=18080 MESH_PORT=18090
export CANARY_TAG="$TAG"
apisix="$(sed -n 's/^ *image: \(apache\/apisix:.*\)/\1/p' docker-compose.yml)"
files=(-f docker-compose.yml) real=true
ways=(http://gateway:9080 http://envoy:8080)
if ! docker image inspect "$apisix" >/dev/null 2>&1 && ! docker pull -q "$apisix" 2>/dev/null; then
    echo "NOT TRIED: $apisix is not available; the entry point is Envoy" >&2
    files+=(-f deploy/images/stand-ins.yml) real=false
    ways=(http://envoy:8080)
fi
mesh=("${files[@]}" --env-file deploy/compose/mesh.env --profile mesh)
trap 'docker compose "${mesh[@]}" --profile "*" down -v --timeout 15 >/dev/null 2>&1' EXIT

compose() { docker compose --progress quiet "${mesh[@]}" "$@"; }

SECONDS=0
compose up --no-build --detach --wait --quiet-pull
echo "ready after $SECONDS s"
for way in "${ways[@]}"; do SMOKE_URL="$way" compose --profile smoke run --rm --no-deps smoke; done
deploy/compose/check.sh "${mesh[@]}"

mesh+=(--profile canary)
compose up --no-build --detach --wait --quiet-pull
compose --profile smoke run --rm --no-deps smoke smoke http://envoy:8080 --canary

mesh+=(--env-file deploy/compose/cluster.env --profile cluster)
compose up --no-build --detach --wait --quiet-pull
SMOKE_URL=http://envoy:8080 compose --profile smoke run --rm --no-deps smoke
compose exec -T redis-1 redis-cli cluster info | grep -E 'cluster_(state:ok|known_nodes:6)'
keys="$(compose exec -T redis-1 redis-cli --cluster call redis-1:6379 DBSIZE | awk '!/>>>/ { sum += $2 } END { print sum + 0 }')"
echo "keys on the cluster: $keys"
[ "$keys" -gt 0 ] || { echo 'nobody uses the cluster' >&2; exit 1; }

mesh+=(--env-file deploy/compose/observability.env --profile observability)
compose up --no-build --detach --wait --quiet-pull
SMOKE_URL=http://envoy:8080 compose --profile smoke run --rm --no-deps smoke

# until WHAT WANTED COMMAND…: waits until it prints that, for at most half a minute.
until_it_says() {
    local what="$1" wanted="$2" said=''
    shift 2
    for _ in $(seq 30); do
        said="$("$@" 2>/dev/null | tr '\n' ' ')" || true
        if [ "${said% }" = "$wanted" ]; then echo "$what: $wanted"; return; fi
        sleep 1
    done
    echo "$what: not $wanted but $said" >&2
    return 1
}

scraped() {
    compose exec -T prometheus promtool query instant http://127.0.0.1:9090 "$1" | sed -n 's/.*job="\([a-z]*\)".*/\1/p' | sort -u
}
# The services of the trace that has the most of them.
traced() {
    compose exec -T jaeger cat /tmp/traces.json | python3 deploy/compose/traced.py
}

until_it_says 'Prometheus reads' 'order payment user' scraped 'up == 1'
requests='sum by (job) ({__name__=~"(http_server_request|rpc_server_call)_duration_seconds_count"}) > 0'
until_it_says 'Prometheus knows of requests to' 'order payment user' scraped "$requests"
if $real; then
    echo 'NOT TRIED: what Jaeger has; look at it in Grafana' >&2
else
    until_it_says 'one trace has' 'order payment user' traced
fi
