"""ghcr for Image Factory."""
