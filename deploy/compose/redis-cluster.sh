#!/bin/sh
# Makes one cluster of redis-1 to redis-6, three masters with a replica each, unless there is one; then it only stays.
set -eu

if redis-cli -h redis-1 cluster info | grep -q cluster_known_nodes:1; then
    nodes=
    for n in 1 2 3 4 5 6; do nodes="$nodes redis-$n:6379"; done
    # shellcheck disable=SC2086 # one word for each node
    redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
fi
exec sleep infinity
