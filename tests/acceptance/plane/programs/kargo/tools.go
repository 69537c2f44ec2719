//go:build tools

// Kargo's control plane, as its own module builds it.
package tools

import _ "github.com/akuity/kargo/cmd/controlplane"
