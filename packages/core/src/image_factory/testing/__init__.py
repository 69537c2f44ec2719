"""The kit for plugin authors: contract suites, stateful fakes of the published protocols, a clock."""
