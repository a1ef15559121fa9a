{{- /* What `tag` or `digest` names is taken whole; where both are empty, the release's own image. */ -}}
{{- define "trireme.image" -}}
{{- $named := ternary .root.Values.image . (and (empty .tag) (empty .digest)) -}}
{{ .root.Values.image.repository }}/{{ .root.Values.service }}
{{- if $named.digest }}@{{ $named.digest }}{{ else }}:{{ $named.tag }}{{ end }}
{{- end }}

{{- define "trireme.labels" -}}
app: {{ .Values.service }}
app.kubernetes.io/name: {{ .Values.service }}
app.kubernetes.io/part-of: trireme
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: trireme-{{ .Chart.Version }}
{{- end }}

{{- /* Text as it stands; numbers, booleans and lists as a variable has them, not as Go prints them: [a b], 1e+06. */ -}}
{{- define "trireme.text" -}}
{{ ternary . (toRawJson .) (kindIs "string" .) }}
{{- end }}

{{- /* The ports of a pod by name, as a JSON object: what the process is told is what everybody else is told. */ -}}
{{- define "trireme.ports" -}}
{{- with .Values.config -}}
{{ dict "http" (int .http.port) "grpc" (int .grpc.port) "http-admin" (int .admin.port) | toJson }}
{{- end }}
{{- end }}

{{- /* NAME: "value" for each setting of a nested map. */ -}}
{{- define "trireme.settings" -}}
{{- $path := .path -}}
{{- range $key, $value := .map }}
{{- if kindIs "invalid" $value }}{{ continue }}{{ end }}
{{- $name := ternary (upper $key) (printf "%s__%s" $path (upper $key)) (eq $path "") }}
{{- if kindIs "map" $value }}
{{- include "trireme.settings" (dict "path" $name "map" $value) }}
{{- else }}
{{- $text := include "trireme.text" $value }}
{{- if regexMatch "://[^/@]*:[^/@]+@" $text }}
{{- fail (printf "config %s holds a password: name a Secret in secretConfig" ($name | replace "__" "." | lower)) }}
{{- end }}
TRIREME_{{ $name }}: {{ quote $text }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Seconds from a pod's end being wanted to its service's end. */ -}}
{{- define "trireme.stops" -}}
{{ trimSuffix "s" .Values.config.shutdown.deadline | int | add .Values.drainSeconds }}
{{- end }}

{{- define "trireme.variable" -}}
TRIREME_{{ upper . | replace "." "__" }}
{{- end }}

{{- /* Variables that are no secret. */ -}}
{{- define "trireme.plain" -}}
{{- include "trireme.settings" (dict "path" "" "map" .Values.config) }}
{{- if .Values.migration.enabled }}
TRIREME_DATABASE__MIGRATE: "false"
{{- end }}
{{- range $name, $value := .Values.otel }}
{{ $name }}: {{ $value | quote }}
{{- end }}
OTEL_SERVICE_NAME: {{ .Values.service }}
{{- end }}

{{- /* Variables that come from Secrets, and where secret files are. */ -}}
{{- define "trireme.secret" -}}
{{- range $setting, $from := .Values.secretConfig }}
{{- if not $from }}{{ continue }}{{ end }}
- name: {{ include "trireme.variable" $setting }}
  valueFrom:
    secretKeyRef: { name: {{ $from.secret }}, key: {{ $from.key }} }
{{- end }}
{{- range $setting, $from := .Values.secretFiles }}
- name: {{ include "trireme.variable" $setting }}
  value: /etc/trireme/secrets/{{ $from.secret }}/{{ $from.key }}
{{- end }}
{{- end }}

{{- define "trireme.mounts" -}}
{{- range $secret := include "trireme.secrets" . | fromJsonArray }}
- { name: secret-{{ $secret }}, mountPath: /etc/trireme/secrets/{{ $secret }}, readOnly: true }
{{- end }}
{{- end }}

{{- define "trireme.volumes" -}}
{{- $files := .Values.secretFiles }}
{{- $whole := .Values.secretMounts }}
{{- range $secret := include "trireme.secrets" . | fromJsonArray }}
- name: secret-{{ $secret }}
  secret:
    secretName: {{ $secret }}
    # 0440; not every reader of YAML takes that for octal.
    defaultMode: 288
    {{- if not (has $secret $whole) }}
    items:
      {{- range $from := $files }}
      {{- if eq $from.secret $secret }}
      - { key: {{ $from.key }}, path: {{ $from.key }} }
      {{- end }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}

{{- /* The names of the Secrets that hold files. */ -}}
{{- define "trireme.secrets" -}}
{{- $names := .Values.secretMounts }}
{{- range .Values.secretFiles }}{{ $names = append $names .secret }}{{ end }}
{{- uniq $names | toJson }}
{{- end }}

{{- define "trireme.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "trireme.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* Longer than the service's own limit, so that it is the service that answers. */ -}}
{{- define "trireme.timeout" -}}
{{ dig "limits" "request_timeout" "10s" .Values.config | trimSuffix "s" | int | add 1 }}s
{{- end }}

{{- /* Only what never reached a process. The rest the services retry, within a budget and the caller's deadline. */ -}}
{{- define "trireme.retries" -}}
{ attempts: 2, retryOn: "connect-failure,refused-stream" }
{{- end }}

{{- /* Where requests without the header go: version 1, and as much to version 2 as it is given. */ -}}
{{- define "trireme.stable" -}}
{{- $weight := ternary .Values.canary.weight 0 .Values.canary.enabled | int -}}
- destination: { host: {{ .Values.service }}, subset: v1{{ if .port }}, port: { number: {{ .port }} }{{ end }} }
{{- if $weight }}
  weight: {{ sub 100 $weight }}
- destination: { host: {{ .Values.service }}, subset: v2{{ if .port }}, port: { number: {{ .port }} }{{ end }} }
  weight: {{ $weight }}
{{- end }}
{{- end }}

{{- /* Where a pod may go outside of the three services: names, and what is in network.egress. */ -}}
{{- define "trireme.outside" -}}
- to:
    - namespaceSelector:
        matchLabels: { kubernetes.io/metadata.name: kube-system }
  ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- range .Values.network.egress }}
- to:
    {{- if .cidr }}
    - ipBlock: { cidr: {{ .cidr }} }
    {{- else }}
    - podSelector:
        matchLabels: {{ toJson .podLabels }}
      {{- with .namespace }}
      namespaceSelector:
        matchLabels: { kubernetes.io/metadata.name: {{ . }} }
      {{- end }}
    {{- end }}
  ports: [{ port: {{ .port }} }]
{{- end }}
{{- end }}

{{- define "trireme.pull" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
