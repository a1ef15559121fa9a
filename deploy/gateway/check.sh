#!/usr/bin/env bash
# Checks what the gateways share, trireme.lua, on a real nginx with Lua, and kong.yml with decK where there is one.
# Debian: nginx, libnginx-mod-http-lua, lua-cjson, deck; also curl, openssl, python3.
# ROOT names the folder where nginx was unpacked; the default is that of .ci/deploy-tools --all where there is no other; GATEWAY and SERVICE other ports of the loopback.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
tools="${SERVERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme/servers}"
type -P nginx >/dev/null || ROOT="${ROOT:-$tools/nginx}"
root="${ROOT:-}" triplet="$(uname -m)-linux-gnu" gateway="${GATEWAY:-19080}" service="${SERVICE:-18080}"
folder="$(mktemp -d)"
running=()
stop() {
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap stop EXIT

base64url() { base64 -w 0 | tr '+/' '-_' | tr -d '='; }

# token CLAIMS [HEADER]: signed with our key.
token() {
    local head="${2:-{\"alg\":\"EdDSA\",\"kid\":\"one\"\}}" signed
    signed="$(printf '%s' "$head" | base64url).$(printf '%s' "$1" | base64url)"
    printf '%s' "$signed" >"$folder/signed"
    printf '%s.%s' "$signed" "$(openssl pkeyutl -sign -inkey "$folder/key.pem" -rawin -in "$folder/signed" | base64url)"
}

start_service() {
    python3 "$here/check/service.py" "$service" "$folder/keys.json" &
    running+=($!)
    until curl -s -o "$folder/out" "http://127.0.0.1:$service/"; do sleep 0.1; done
}

start_gateway() {
    sed -e "s#ROOT#$root#g; s#TRIPLET#$triplet#g; s#FOLDER#$folder#g; s#GATEWAY#$gateway#g; s#SERVICE#$service#g" \
        "$here/check/nginx.conf" >"$folder/nginx.conf"
    # The key's file is elsewhere here.
    sed -e "s#/run/secrets#$folder#" "$here/lua/trireme.lua" >"$folder/trireme.lua"
    LD_LIBRARY_PATH="$root/usr/lib/$triplet:$root/lib/$triplet" \
        "$root/usr/sbin/nginx" -p "$folder" -c "$folder/nginx.conf" -g "user $(id -un);" 2>"$folder/nginx.out" &
    nginx=$!
    running+=("$nginx")
    timeout 10 bash -c "until curl -s -o '$folder/out' 'http://127.0.0.1:$gateway/none'; do sleep 0.1; done" ||
        { cat "$folder/nginx.out" "$folder/error.log"; exit 1; }
}

stop_gateway() { kill "$nginx"; wait "$nginx" || true; }

failed=0 checked=0
# expect WHAT STATUS TEXT CURL-ARGUMENTS: TEXT is part of the answer, with ! before it none of it.
expect() {
    local what="$1" status="$2" text="$3" got
    shift 3
    checked=$((checked + 1))
    got="$(curl -s -m 10 -i "$@")"
    if [[ "$got" != "HTTP/1.1 $status "* ]] || { [[ "$text" == !* ]] && [[ "$got" == *"${text#!}"* ]]; } ||
        { [[ "$text" != !* ]] && [[ "$got" != *"$text"* ]]; }; then
        printf 'not as expected: %s\n  wanted %s %s\n%s\n' "$what" "$status" "$text" "$got"
        failed=1
    fi
}

openssl genpkey -algorithm ed25519 -out "$folder/key.pem"
x="$(openssl pkey -in "$folder/key.pem" -pubout -outform DER | tail -c 32 | base64url)"
printf '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"%s"}]}' "$x" >"$folder/keys.json"
at="http://127.0.0.1:$gateway"
claims='"iss":"trireme-user","aud":"trireme","sub":"somebody"'
good="$(token "{$claims,\"exp\":$(($(date +%s) + 60))}")"
bearer() { printf 'Authorization: Bearer %s' "$1"; }
problem='Content-Type: application/problem+json'

# Nothing is known of a token while the keys cannot be fetched.
start_gateway
expect 'no keys' 503 'Retry-After: 5' "$at/required" -H "$(bearer "$good")"
stop_gateway
start_service
start_gateway
expect 'a good token' 200 '"authorization"' "$at/required" -H "$(bearer "$good")"
expect 'no token' 401 'WWW-Authenticate: Bearer' "$at/required"
expect 'a problem document' 401 "$problem" "$at/required"
expect 'with its name' 401 'problems\/token-missing' "$at/required"
expect 'no bearer' 401 'a bearer token is needed' "$at/required" -H 'Authorization: Basic eA=='
expect 'expired' 401 'has expired' "$at/required" -H "$(bearer "$(token "{$claims,\"exp\":1}")")"
expect 'no expiry' 401 'has expired' "$at/required" -H "$(bearer "$(token "{$claims}")")"
expect 'another audience' 401 'is not for us' "$at/required" \
    -H "$(bearer "$(token '{"iss":"trireme-user","aud":"other","sub":"x","exp":9999999999}')")"
expect 'another issuer' 401 'is not for us' "$at/required" \
    -H "$(bearer "$(token '{"iss":"other","aud":"trireme","sub":"x","exp":9999999999}')")"
expect 'another algorithm' 401 'signed the right way' "$at/required" \
    -H "$(bearer "$(token '{}' '{"alg":"HS256","kid":"one"}')")"
expect 'another key' 401 'unknown key' "$at/required" -H "$(bearer "$(token '{}' '{"alg":"EdDSA","kid":"two"}')")"
expect 'other claims under a signature' 401 'is not valid' "$at/required" \
    -H "$(bearer "${good%%.*}.$(printf '{}' | base64url).${good##*.}")"
expect 'too long' 401 'is too long' "$at/required" -H "$(bearer "$(head -c 5000 /dev/zero | tr '\0' a)")"
expect 'reading is open' 200 '{' "$at/writes"
expect 'writing is not' 401 'a bearer token is needed' -X POST "$at/writes"
expect 'writing with a token' 200 '"authorization"' -X POST "$at/writes" -H "$(bearer "$good")"
expect 'a browser asks first' 200 '{' -X OPTIONS "$at/required"

key="$(openssl rand -hex 16)"
expect 'no canary without a key' 200 '!x-canary' "$at/none" -H 'x-canary: true' -H "x-canary-key: $key"
expect 'a stranger is no service' 200 '!x-service-credential' "$at/none" -H 'x-service-credential: order.AAAA'
expect 'the trace goes on' 200 '"traceparent": "00-' "$at/none" \
    -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
expect 'the trace is named' 401 'urn:trace:0af7651916cd43dd8448eb211c80319c' "$at/required" \
    -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
expect 'the service is away' 502 "$problem" "$at/down"
expect 'too many requests' 429 "$problem" "$at/limited"
expect 'in place of the page' 429 '{' "$at/limited"
expect 'its name' 429 'problems\/rate-limited' "$at/limited"
expect 'no page' 429 '!<html' "$at/limited"
expect 'nothing there' 404 "$problem" "$at/nowhere"
head -c 1048577 /dev/zero >"$folder/large"
expect 'too large' 413 "$problem" "$at/none" -H 'Expect:' --data-binary "@$folder/large"
expect "the service's own problem" 409 "the service's own" "$at/none/problem"
stop_gateway

echo "$key" >"$folder/canary.key"
start_gateway
expect 'the key' 200 '"x-canary": "true"' "$at/none" -H 'x-canary: true' -H "x-canary-key: $key"
expect 'the key goes no further' 200 '!x-canary-key' "$at/none" -H 'x-canary: true' -H "x-canary-key: $key"
expect 'another key' 200 '!x-canary' "$at/none" -H 'x-canary: true' -H "x-canary-key: ${key}x"
expect 'no key' 200 '!x-canary' "$at/none" -H 'x-canary: true'
stop_gateway

PATH="$root/usr/bin:$PATH"
if command -v deck >/dev/null; then
    deck validate -s "$here/kong/kong.yml" || failed=1
    checked=$((checked + 1))
else
    echo 'no deck: kong.yml is not validated'
fi
echo "gateway: $checked checks"
exit "$failed"
