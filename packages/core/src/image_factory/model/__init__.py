"""Frozen records of what people asked for and of what the program saw. Pure: no I/O, no clock."""
