"""OCI's words and wire formats as values: references, platforms, manifests, the registry protocol.

Pure: no socket, no clock, no log. Specifications: OCI image-spec and distribution-spec 1.1, and
distribution's reference grammar (github.com/distribution/reference).
"""
