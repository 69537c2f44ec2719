"""github for Image Factory."""
