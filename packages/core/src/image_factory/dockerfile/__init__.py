"""Dockerfiles with BuildKit's semantics: which images would a build pull? Pure."""
