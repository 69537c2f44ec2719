"""dockerhub for Image Factory."""
