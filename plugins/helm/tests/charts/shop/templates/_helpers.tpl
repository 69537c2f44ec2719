{{- define "shop.image" -}}
{{- $registry := .image.registry | default .global.imageRegistry -}}
{{- $name := ternary (printf "%s/%s" $registry .image.repository) .image.repository (not (empty $registry)) -}}
{{- if .image.digest -}}
{{- if .image.tag }}{{ printf "%s:%v@%s" $name .image.tag .image.digest }}{{ else }}{{ printf "%s@%s" $name .image.digest }}{{ end -}}
{{- else -}}
{{- printf "%s:%v" $name .image.tag -}}
{{- end -}}
{{- end -}}
