"""The demo: a registry and a git server on loopback, a few services, and the production commands on them."""
