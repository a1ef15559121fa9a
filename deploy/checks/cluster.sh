#!/usr/bin/env bash
# Installs the charts for real: etcd and Kubernetes' API server with admission, controllers and scheduler, on loopback,
# with the definitions of Istio, Gateway API and the Prometheus operator. No container runs: cluster/nodes.go simulates
# the nodes. Builds them into $SERVERS_DIR at first, which takes minutes. Needs Go, python3, openssl and helm
# (.ci/servers).
set -euo pipefail
repository="$(cd "$(dirname "$0")/../.." && pwd)"
tools="${SERVERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme/servers}"
work="$(mktemp -d)"
pids=()
step=build
exec 3>&1

stop() {
    local code=$?
    if [ "$code" != 0 ]; then
        printf 'FAILED: %s\n' "$step" >&3
        tail -n 20 "$work/$step.log" >&3 || true
    fi
    if [ ${#pids[@]} -gt 0 ]; then kill "${pids[@]}" && wait "${pids[@]}"; fi 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT

fail() { printf '%s\n' "$*" >&2; exit 1; }
say() { printf '%s\n' "$*" >&3; }
is() { [ "$3" = "$2" ] || fail "$1: '$3' instead of '$2'"; }
refused() { if "$@" >"$work/refused" 2>&1; then fail "not refused: $*"; fi; }

build() {
    local source="$repository/deploy/checks/cluster" wanted version
    wanted="$(cat "$source"/*.go "$source"/go.* | sha256sum)"
    if [ -x "$tools/cluster" ] && [ "$(cat "$tools/versions/cluster" 2>/dev/null)" = "$wanted" ]; then return; fi
    say 'building a control plane'
    version="$(cd "$source" && go list -m -f '{{.Version}}' k8s.io/kubernetes)"
    local to=k8s.io/component-base/version
    (cd "$source" && nice go build -o "$work/cluster" \
        -ldflags="-s -w -X $to.gitVersion=$version -X $to.gitMajor=1 -X $to.gitMinor=$(cut -d. -f2 <<<"$version")" .)
    mkdir -p "$tools/versions"
    install -m 755 "$work/cluster" "$tools/cluster.new"
    mv "$tools/cluster.new" "$tools/cluster"
    printf '%s\n' "$wanted" >"$tools/versions/cluster"
}

run() { nice "$tools/cluster" "$@" >"$work/$1.log" 2>&1 & pids+=($!); }

start() {
    local store peer port token
    read -r store peer port < <(python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in sockets))')
    token="$(openssl rand -hex 32)"
    openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
    printf '%s,admin,admin,system:masters\n' "$token" >"$work/tokens"
    run etcd --data-dir="$work/etcd" --unsafe-no-fsync --initial-cluster="default=http://127.0.0.1:$peer" \
        --listen-client-urls="http://127.0.0.1:$store" --advertise-client-urls="http://127.0.0.1:$store" \
        --listen-peer-urls="http://127.0.0.1:$peer" --initial-advertise-peer-urls="http://127.0.0.1:$peer"
    run apiserver --etcd-servers="http://127.0.0.1:$store" --bind-address=127.0.0.1 --secure-port="$port" \
        --cert-dir="$work/certificates" --token-auth-file="$work/tokens" --authorization-mode=RBAC \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-signing-key-file="$work/accounts.key" \
        --service-account-key-file="$work/accounts.key" --service-cluster-ip-range=10.96.0.0/16 \
        --advertise-address=192.0.2.1 --endpoint-reconciler-type=none --disable-admission-plugins=TaintNodesByCondition
    export KUBECONFIG="$work/kubeconfig"
    for _ in {1..100}; do [ -s "$work/certificates/apiserver.crt" ] && break; sleep 0.1; done
    kubectl config set-cluster here --server="https://127.0.0.1:$port" \
        --certificate-authority="$work/certificates/apiserver.crt"
    kubectl config set-credentials admin --token="$token"
    kubectl config set-context here --cluster=here --user=admin --namespace=shop
    kubectl config use-context here
    for _ in {1..150}; do kubectl get --raw /readyz && break; sleep 0.2; done >/dev/null 2>&1
    run controllers --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port=0 \
        --service-account-private-key-file="$work/accounts.key" --root-ca-file="$work/certificates/apiserver.crt" \
        --controllers='*,-node-lifecycle-controller' --horizontal-pod-autoscaler-sync-period=1s
    run scheduler --kubeconfig="$KUBECONFIG" --leader-elect=false --secure-port=0
    run nodes "$KUBECONFIG"
}

# As pinned in .ci/deploy-tools.
definitions() {
    eval "$(sed -n -e '/^ISTIO=/p' -e '/^CRDS=(/,/^)/p' "$repository/.ci/deploy-tools")"
    local module folder
    for one in "${CRDS[@]}"; do
        read -r module folder <<<"$one"
        module="$(cd "$work" && go mod download -json "$module" |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])')"
        kubectl apply --server-side -f "$module/$folder"
    done
    kubectl wait crd --all --for=condition=Established --timeout=60s
}

# readme N: the commands of helm/README.md's block of that number, in a folder where they find what they name.
readme() {
    awk -v wanted="$1" '/^```/ { inside = !inside; count += inside; next } inside && count == wanted' \
        "$repository/helm/README.md" >"$work/block"
    [ -s "$work/block" ] || fail "helm/README.md has no block $1"
    (cd "$work" && bash -euo pipefail block) || fail "helm/README.md, block $1"
}

serves() { # DEPLOYMENT PODS TAG
    kubectl rollout status "deployment/$1" --timeout=30s
    kubectl wait "deployment/$1" --for=jsonpath="{.status.readyReplicas}=$2" --timeout=30s
    is "image of $1" "ghcr.io/trireme/${1%-v2}:$3" \
        "$(kubectl get "deployment/$1" -o jsonpath='{.spec.template.spec.containers[0].image}')"
}

waiting() { helm -n shop "$@" --wait --timeout 40s; }
left() { kubectl get all,cm,sa,netpol,pdb,hpa,jobs,vs,dr,authorizationpolicies,httproutes,servicemonitors -o name |
    grep -v -e kube-root-ca -e serviceaccount/default -e '^pod/' -e /allow-nothing || true; }
. "$repository/deploy/checks/cluster/scenarios.sh"

build 2>"$work/build.log"
mkdir "$work/bin"
printf '#!/bin/sh\nexec "%s" kubectl "$@"\n' "$tools/cluster" >"$work/bin/kubectl"
chmod +x "$work/bin/kubectl"
[ ! -x "$tools/helm" ] || ln -s "$tools/helm" "$work/bin/helm"
ln -s "$repository/helm" "$repository/istio" "$work"
export PATH="$work/bin:$PATH" HELM_CACHE_HOME="$work/helm-cache" HELM_CONFIG_HOME="$work/helm-config" \
    HELM_DATA_HOME="$work/helm-data"
for step in start definitions one_by_one canary everything failures shop embedded; do
    # Not within an if or ||: there a function goes on after what fails.
    "$step" >"$work/$step.log" 2>&1
    say "ok: $step"
done
