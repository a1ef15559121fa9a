#!/bin/sh
# Makes the secrets of the compose stack and puts each where only its reader's volume is. What is there stays: the
# databases know their passwords.
set -eu

# once FOLDER/NAME UID TEXT: a file that its reader alone can read.
once() {
    [ -e "/secrets/$1" ] && return
    (umask 077 && printf '%s\n' "$3" >"/secrets/$1.new")
    chown "$2:$2" "/secrets/$1.new"
    mv "/secrets/$1.new" "/secrets/$1"
}

random() { head -c 32 /dev/urandom | base64; }
password() { head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

# database URL-BEFORE-THE-PASSWORD PASSWORD URL-AFTER-IT: the part of a service's configuration that is secret.
database() { printf '[database]\nurl = "%s"' "$1$2$3"; }

service=65532 postgres=999 mongo=999 apisix=636

# All or nothing: a run that was cut off starts again.
if [ ! -e /secrets/gateway/canary.key ]; then
    rm -f /secrets/*/*
    credential="$(random)" user="$(password)" order="$(password)" payment="$(password)" provider="$(password)"
    for name in user order payment; do once "$name/credential" "$service" "$credential"; done
    once user/service.toml "$service" "$(database postgres://user: "$user" @postgres/user?sslmode=disable)"
    once order/service.toml "$service" "$(database mongodb://order: "$order" @mongo/order)"
    once payment/service.toml "$service" "$(database postgres://payment: "$payment" @postgres/payment?sslmode=disable)
[provider]
url = \"sandbox+postgres://provider:$provider@postgres/provider?sslmode=disable\""
    once payment/webhook "$service" "$(random)"
    once postgres/postgres "$postgres" "$(password)"
    once postgres/user "$postgres" "$user"
    once postgres/payment "$postgres" "$payment"
    once postgres/provider "$postgres" "$provider"
    once mongo/mongo "$mongo" "$(password)"
    once mongo/order "$mongo" "$order"
    once gateway/canary.key "$apisix" "$(random)"
fi

# A named volume belongs to root; NATS does not run as root.
chown 65532:65532 /nats
