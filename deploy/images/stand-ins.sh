#!/usr/bin/env bash
# Makes stand-ins for the images that deploy/Dockerfile and docker-compose.yml name, where no hub can be reached, and
# tags them with those names: Debian by debootstrap, on it Debian's packages, this machine's Rust, and NATS, Envoy and
# the server with MongoDB's protocol from where .ci/servers and .ci/deploy-tools install them. As root, with a running
# Docker. What runs on them shows that the images and the stack are put together well, not that the real servers work:
# there is none for APISIX, Grafana and Loki, and deploy/images/stand-ins.yml says what else differs.
#
#   deploy/images/stand-ins.sh [NAME]…      rust postgres mongo redis nats envoy collector jaeger prometheus
#                                           alertmanager; default: all
set -euo pipefail
cd "$(dirname "$0")/../.."

servers="${SERVERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme/servers}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

base=debian:bookworm-slim

debian() {
    if docker image inspect "$base" >/dev/null 2>&1; then return; fi
    debootstrap --variant=minbase bookworm "$work/debian" >"$work/log" || { tail "$work/log" >&2; return 1; }
    tar -C "$work/debian" -c . | docker import - "$base" >/dev/null
}

# build REPOSITORY: the Dockerfile on standard input, with the folder $work/context, tagged as the files here name it.
build() {
    local image
    image="$(grep -hoE "(FROM|image:).* $1:[^ ]+" deploy/Dockerfile docker-compose.yml | grep -oE "$1:.*" | sort -u)"
    cat >"$work/context/Dockerfile"
    docker build --quiet --network host -t "$image" "$work/context" >/dev/null
    echo "$image"
}

packages() {
    echo "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends $* >/dev/null && apt-get clean"
}

account() { echo "RUN groupadd -g $2 $1 && useradd -g $2 -u $2 -M $1"; }

folder() { echo "RUN mkdir -p $2 && chown $1:$1 $2"; }

# The toolchain that builds here, and the certificates that this machine trusts.
rust() {
    tar -C "$(rustc --print sysroot)" -c bin lib libexec >"$work/context/toolchain.tar"
    cp /etc/ssl/certs/ca-certificates.crt "$work/context/"
    build rust <<END
FROM $base
$(packages gcc g++ libc6-dev make perl ca-certificates)
COPY ca-certificates.crt /etc/ssl/certs/
ADD toolchain.tar /usr/local/
END
}

# Debian's, with what the real image does on an empty volume: a password and the scripts of the init folder.
postgres() {
    cat >"$work/context/entrypoint" <<'END'
#!/bin/bash
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -U postgres --auth-local=trust --auth-host=scram-sha-256 --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl -w -o "-c listen_addresses=" start >/dev/null
    for script in /docker-entrypoint-initdb.d/*.sh; do . "$script"; done
    pg_ctl -w stop >/dev/null
fi
exec postgres -c 'listen_addresses=*' "$@"
END
    chmod 755 "$work/context/entrypoint"
    build postgres <<END
FROM $base
$(account postgres 999)
RUN mkdir /etc/postgresql-common && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
$(packages postgresql)
$(folder 999 /var/lib/postgresql/data)
COPY entrypoint /
ENV PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data
ENTRYPOINT ["/entrypoint"]
STOPSIGNAL SIGINT
END
}

# It listens on 127.0.0.1 only, and knows no users and no options.
mongo() {
    cp -r "$servers/mongodb/lib" "$servers/mongodb/out" "$work/context/"
    cat >"$work/context/entrypoint" <<'END'
#!/bin/bash
socat "TCP-LISTEN:27017,bind=$(hostname -i | cut -d' ' -f1),fork,reuseaddr" TCP:127.0.0.1:27018 &
exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/mongodb/out:/mongodb/lib/*' \
    de.bwaldvogel.mongo.backend.h2.MongoStandIn 27018 /data/db/db
END
    chmod 755 "$work/context/entrypoint"
    build mongo <<END
FROM $base
$(account mongodb 999)
$(packages openjdk-17-jre-headless socat)
$(folder 999 /data/db)
COPY lib /mongodb/lib
COPY out /mongodb/out
COPY entrypoint /
ENTRYPOINT ["/entrypoint"]
END
}

redis() {
    build redis <<END
FROM $base
$(account redis 999)
$(packages redis-server redis-tools)
$(folder 999 /data)
WORKDIR /data
VOLUME /data
CMD ["redis-server", "--protected-mode", "no"]
END
}

nats() {
    cp "$servers/nats-server" "$work/context/"
    build nats <<END
FROM $base
$(packages wget)
COPY nats-server /usr/local/bin/
ENTRYPOINT ["nats-server"]
END
}

envoy() {
    cp "$servers/envoy" "$work/context/"
    build envoyproxy/envoy <<END
FROM $base
COPY envoy /usr/local/bin/
END
}

# The collector's own modules, without those of the contrib distribution that nothing here names.
collector() {
    cp "$servers/otelcol" "$work/context/"
    build otel/opentelemetry-collector-contrib <<END
FROM $base
COPY otelcol /otelcol-contrib
ENTRYPOINT ["/otelcol-contrib"]
END
}

# No Jaeger: another collector, which writes the traces that Jaeger would get into a file.
jaeger() {
    cp "$servers/otelcol" "$work/context/"
    cat >"$work/context/config.yaml" <<'END'
receivers: { otlp: { protocols: { grpc: { endpoint: "0.0.0.0:4317" } } } }
exporters: { file: { path: /tmp/traces.json } }
service:
  telemetry: { metrics: { level: none } }
  pipelines: { traces: { receivers: [otlp], exporters: [file] } }
END
    build jaegertracing/jaeger <<END
FROM $base
COPY otelcol config.yaml /
# Whatever Jaeger is told, this is its configuration.
ENTRYPOINT ["sh", "-c", "exec /otelcol --config /config.yaml"]
END
}

prometheus() {
    local program
    for program in prometheus promtool; do
        cp "$(PATH="$servers:$PATH" type -P "$program")" "$work/context/"
    done
    build prom/prometheus <<END
FROM $base
COPY prometheus promtool /bin/
$(folder 65534 /prometheus)
USER 65534
ENTRYPOINT ["/bin/prometheus"]
END
}

alertmanager() {
    cp "$(PATH="$servers:$PATH" type -P alertmanager)" "$work/context/"
    build prom/alertmanager <<END
FROM $base
COPY alertmanager /bin/
$(folder 65534 /alertmanager)
USER 65534
ENTRYPOINT ["/bin/alertmanager"]
END
}

debian
[ $# -gt 0 ] || set -- rust postgres mongo redis nats envoy collector jaeger prometheus alertmanager
for name in "$@"; do
    mkdir "$work/context"
    "$name"
    rm -r "$work/context"
done
