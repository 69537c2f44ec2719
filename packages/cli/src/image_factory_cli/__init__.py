"""The command line: a command parses, calls a use-case and renders; no rule lives here."""
