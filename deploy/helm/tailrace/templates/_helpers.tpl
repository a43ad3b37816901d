{{- define "tailrace.labels" -}}
app.kubernetes.io/name: tailrace
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "tailrace.annotations" -}}
# A changed configuration has everything started again: not all of it applies while a program runs.
checksum/config: {{ .root.Values.config | sha256sum }}
{{- end }}

{{- define "tailrace.image" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "tailrace.env" -}}
- {name: TAILRACE_DATA__DIRECTORY, value: /var/lib/tailrace}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tailrace.mounts" -}}
- {name: config, mountPath: /etc/tailrace/tailrace.toml, subPath: tailrace.toml, readOnly: true}
- {name: data, mountPath: /var/lib/tailrace}
- {name: tokens, mountPath: /var/lib/tailrace/tokens.json, subPath: tokens.json, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.secret.existingSecret }}
- {name: secret, mountPath: /etc/tailrace/secret, readOnly: true}
{{- end }}
{{- end }}

{{- define "tailrace.volumes" -}}
- {name: config, configMap: {name: {{ .Release.Name }}}}
- {name: tokens, secret: {secretName: {{ .Values.tokens.existingSecret }}, defaultMode: 0440}}
- {name: tmp, emptyDir: {}}
{{- with .Values.secret.existingSecret }}
- {name: secret, secret: {secretName: {{ . }}, defaultMode: 0440}}
{{- end }}
{{- end }}

{{- define "tailrace.probes" -}}
ports: [{name: http, containerPort: {{ . }}}]
livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 20, timeoutSeconds: 5, failureThreshold: 6}
{{- end }}

{{- define "tailrace.unprivileged" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tailrace.caged" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "tailrace.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {{ include "tailrace.labels" . | fromYaml | toJson }}}
{{- end }}

{{- define "tailrace.pod" -}}
serviceAccountName: {{ .Release.Name }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "tailrace.autoscaler" -}}
{{- if .wanted.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ .root.Release.Name }}-{{ .part }}
  labels: {{ include "tailrace.labels" . | fromYaml | toJson }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .root.Release.Name }}-{{ .part }}}
  minReplicas: {{ .wanted.minReplicas }}
  maxReplicas: {{ .wanted.maxReplicas }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .wanted.cpuPercent }}}}
  behavior:
    # Fewer servers cost their viewers a reconnect, fewer indexers a rebalance: no hurry with that.
    scaleDown: {stabilizationWindowSeconds: 600, policies: [{type: Pods, value: 1, periodSeconds: 300}]}
{{- end }}
{{- end }}
