"""The HTTP API of Image Factory: routes around the use-cases that the command line has too."""
