"""I/O that is no plugin: HTTP, registries over it, git, processes, the state directory, the clock."""
