module image-factory/tests/acceptance/kargo

go 1.26.0

require github.com/akuity/kargo v1.11.2

// Kargo's own replacements: two of its folders are modules of their own, at the commit of its release.
replace (
	github.com/akuity/kargo/api => github.com/akuity/kargo/api v0.0.0-20260818015641-20c56384dc3a
	github.com/akuity/kargo/pkg/x/client/generated => github.com/akuity/kargo/pkg/x/client/generated v0.0.0-20260818015641-20c56384dc3a
	k8s.io/code-generator => k8s.io/code-generator v0.34.3
	sigs.k8s.io/controller-tools => sigs.k8s.io/controller-tools v0.19.0
	sigs.k8s.io/kustomize/api => sigs.k8s.io/kustomize/api v0.20.1
	sigs.k8s.io/kustomize/kyaml => sigs.k8s.io/kustomize/kyaml v0.20.1
)

exclude github.com/ugorji/go v1.1.4
