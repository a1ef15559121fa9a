#!/usr/bin/env bash
# Tries the stack as a person would: up from empty volumes, an order through its way in, a look at it; then version 2
# beside it, an order for the canary; then cache and locks on a Redis Cluster, an order on that; and down again. It has names and ports of its own, so that a stack that runs stays
# as it is. Where there is no APISIX (deploy/images/stand-ins.sh) the way in is the mesh's Envoy.
#
#   deploy/compose/try.sh [TAG]        default: dev
set -euo pipefail
cd "$(dirname "$0")/../.."

export TAG="${1:-dev}" COMPOSE_PROJECT_NAME=trireme-try GATEWAY_PORT=18080 MESH_PORT=18090
export CANARY_TAG="$TAG"
apisix="$(sed -n 's/^ *image: \(apache\/apisix:.*\)/\1/p' docker-compose.yml)"
files=(-f docker-compose.yml)
ways=(http://gateway:9080 http://envoy:8080)
if ! docker image inspect "$apisix" >/dev/null 2>&1 && ! docker pull -q "$apisix" 2>/dev/null; then
    echo "NOT TRIED: $apisix is not to be had; the way in is Envoy" >&2
    files+=(-f deploy/images/stand-ins.yml)
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
