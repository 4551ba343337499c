{{/* Start of the names: the release's, with the chart's unless it is in there. */}}
{{- define "deephypebot.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels by which a part's pods are found: (list $ "gateway"). They cannot change in the life of a release. */}}
{{- define "deephypebot.selector" -}}
app.kubernetes.io/name: {{ (index . 0).Chart.Name }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "deephypebot.labels" -}}
{{ include "deephypebot.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* Image and its policy: (list $ .Values.image). */}}
{{- define "deephypebot.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- $tag := $image.tag | default $root.Chart.AppVersion -}}
{{- if eq $tag "latest" }}{{ fail (printf "the tag latest of %s may be another image on each node: name a version or a digest" $image.repository) }}{{ end -}}
image: {{ if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $tag }}{{ end }}
imagePullPolicy: {{ $image.pullPolicy }}
{{- end }}

{{/* What holds for every pod: the restricted standard of pod security, no rights in the cluster, and no variables of
services (NAME_GATEWAY_PORT=tcp://...), which settings could be mistaken for. */}}
{{- define "deephypebot.pod" -}}
serviceAccountName: {{ include "deephypebot.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "deephypebot.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "deephypebot.registry" -}}
{{- if .Values.registry.uri }}{{ .Values.registry.uri }}
{{- else if .Values.mlflow.enabled }}http://{{ include "deephypebot.fullname" . }}-mlflow:5000
{{- end }}
{{- end }}

{{/* Variables of whoever reads the registry. */}}
{{- define "deephypebot.registryEnv" -}}
{{- with include "deephypebot.registry" . }}
- {name: MLFLOW_TRACKING_URI, value: {{ . | quote }}}
{{- else }}
{{- if not .Values.registry.existingSecret }}{{ fail "there is no registry: enable mlflow, or set registry.uri or registry.existingSecret (key MLFLOW_TRACKING_URI)" }}{{ end }}
{{- end }}
{{- end }}

{{- define "deephypebot.serverName" -}}
{{ .Values.gateway.tls.serverName | default (printf "%s-gateway.%s.svc" (include "deephypebot.fullname" .) .Release.Namespace) }}
{{- end }}

{{/* Target of a client in the cluster: every pod of the gateway, in turn. */}}
{{- define "deephypebot.target" -}}
dns:///{{ include "deephypebot.fullname" . }}-gateway-pods.{{ .Release.Namespace }}.svc:50051
{{- end }}

{{/* How a client in the cluster verifies the gateway, and shows itself: (list $ TOKEN_SECRET). */}}
{{- define "deephypebot.clientEnv" -}}
{{- $root := index . 0 }}
{{- if $root.Values.gateway.tls.existingSecret }}
- {name: DEEPHYPEBOT_CA, value: /etc/deephypebot/ca/ca.crt}
- {name: DEEPHYPEBOT_SERVER_NAME, value: {{ include "deephypebot.serverName" $root | quote }}}
{{- end }}
{{- if $root.Values.gateway.tls.clientSecret }}
- {name: DEEPHYPEBOT_CLIENT_CERT, value: /etc/deephypebot/client/tls.crt}
- {name: DEEPHYPEBOT_CLIENT_KEY, value: /etc/deephypebot/client/tls.key}
{{- end }}
{{- if index . 1 }}
- {name: DEEPHYPEBOT_TOKEN_FILE, value: /etc/deephypebot/token/token}
{{- end }}
{{- end }}

{{- define "deephypebot.clientMounts" -}}
{{- $root := index . 0 }}
{{- if $root.Values.gateway.tls.existingSecret }}
- {name: ca, mountPath: /etc/deephypebot/ca, readOnly: true}
{{- end }}
{{- if $root.Values.gateway.tls.clientSecret }}
- {name: client, mountPath: /etc/deephypebot/client, readOnly: true}
{{- end }}
{{- if index . 1 }}
- {name: token, mountPath: /etc/deephypebot/token, readOnly: true}
{{- end }}
{{- end }}

{{/* The gateway's certificate comes without its key. Group 10001 may read, as fsGroup. */}}
{{- define "deephypebot.clientVolumes" -}}
{{- $root := index . 0 }}
{{- with $root.Values.gateway.tls.existingSecret }}
- name: ca
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- with $root.Values.gateway.tls.clientSecret }}
- name: client
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- with index . 1 }}
- name: token
  secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: token, path: token}]}
{{- end }}
{{- end }}
