"""A control plane without a node: the API server, Kargo's and Argo Rollouts' controllers, as processes on loopback."""
