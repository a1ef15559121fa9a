#!/usr/bin/env bash
# What watches the system is taken by who reads it: rules, their unit tests and configuration by promtool, Alertmanager's by
# amtool, the collector's by the collector itself. Then each is broken once, to see that it would be found.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${SERVERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/trireme/servers}"
export PATH="$tools:$PATH"
broken="$(mktemp -d)"
trap 'rm -rf "$broken"' EXIT
wrong=0

for program in promtool amtool otelcol; do
    if ! type -P "$program" >/dev/null; then
        echo "NOT CHECKED: what $program knows. Install it (.ci/deploy-tools)."
        if [ -n "${TEST_ALL:-}${CI:-}" ]; then exit 1; fi
        exit 0
    fi
done

check() { # NAME, then a command that has to succeed
    if "${@:2}" >"$broken/out" 2>&1; then return; fi
    wrong=$((wrong + 1))
    echo "FAULT: $1"
    tail -n 60 "$broken/out"
}
refused() { ! "$@"; }

promtool_all() { # FOLDER TESTS…
    promtool check rules --lint=all --lint-fatal "$1"/rules/*.yaml && promtool check config "$1/prometheus.yml" &&
        promtool test rules "${@:2}"
}
collector_takes() {
    local file arguments=()
    for file in "$@"; do arguments+=(--config "$file"); done
    otelcol validate "${arguments[@]}"
}

check 'Prometheus' promtool_all prometheus prometheus/tests/*.yaml
check 'Alertmanager' amtool check-config alertmanager/alertmanager.yml
check 'the collector' collector_takes otel-collector/config.yaml
check 'the collector with logs' collector_takes otel-collector/config.yaml otel-collector/logs.yaml

# break_it FOLDER FILE SED: a copy of a folder in which a file is another.
break_it() {
    rm -rf "$broken/copy"
    cp -r "$1" "$broken/copy"
    sed -i -e "$3" "$broken/copy/$2"
    if cmp -s "$1/$2" "$broken/copy/$2"; then
        echo "FAULT: $3 changes nothing in $1/$2"
        wrong=$((wrong + 1))
    fi
}
break_it prometheus rules/slo-reads.yaml 's/> 14.4 \*/> 16 */'
check 'a threshold that is another is found' refused promtool_all "$broken/copy" "$broken/copy/tests/slo-reads-1h.yaml"
break_it prometheus rules/slo-reads.yaml 's/ratio_rate5m{\(slo="[A-Za-z]*"\)} > 14.4/ratio_rate30m{\1} > 14.4/'
check 'a window that is another is found' refused promtool_all "$broken/copy" "$broken/copy/tests/slo-reads-1h.yaml"
break_it prometheus rules/alerts.yaml 's/messaging_outbox_oldest_age/messaging_outbox_oldest/'
check 'a metric that is another is found' refused promtool_all "$broken/copy" "$broken/copy/tests/alerts.yaml"
break_it prometheus rules/slo-reads.yaml 's/,http_response_status_code!~"5.."//g'
check 'a failure that counts as good is found' refused promtool_all "$broken/copy" "$broken/copy/tests/slo-reads-1h.yaml"
break_it prometheus rules/slo-reads.yaml 's/,le="2.5"/,le="10"/g'
check 'a bound that is another is found' refused promtool_all "$broken/copy" "$broken/copy/tests/slo-reads-1h.yaml"
break_it prometheus rules/alerts.yaml '/keep_firing_for/d'
check 'an alert that goes out too soon is found' refused promtool_all "$broken/copy" "$broken/copy/tests/alerts.yaml"
break_it alertmanager alertmanager.yml 's/receiver: page/receiver: nobody/'
check 'a receiver that is not there is found' refused amtool check-config "$broken/copy/alertmanager.yml"
break_it otel-collector config.yaml 's/tail_sampling, batch/tail_sampler, batch/'
check 'a processor that is not there is found' refused collector_takes "$broken/copy/config.yaml"

alerts="$(cat prometheus/rules/*.yaml | grep -c 'alert: ')" tests="$(cat prometheus/tests/*.yaml | grep -c '^- name: ')"
echo "$alerts alerts, $tests unit tests, 8 ways to break them, $wrong faults"
[ "$wrong" = 0 ]
