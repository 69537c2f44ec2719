"""What the program does, one verb a file: gather, decide, act, report."""
