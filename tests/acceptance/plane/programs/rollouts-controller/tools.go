//go:build tools

// The controller of Argo Rollouts, as its own module builds it.
package tools

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
