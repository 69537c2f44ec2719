"""The decisions: frozen facts in, values with their reasons out. Pure: no I/O, no clock, no log."""
