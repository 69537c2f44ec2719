"""What the configurations of Renovate and Dependabot, and the pipelines beside them, say of images. Pure."""
