"""A small cluster: the rules by which Kargo 1.11 turns what it sees into Freight, promotions and Jobs.

It reads the YAML that `image-factory synth` writes and holds nothing that is not in it. What decides
is written again here from Kargo's source (each rule names its file); what evaluates expressions and
runs promotion steps is Kargo's own code (`steps.Steps`); what a Job does is this project's own command
line. Time is a clock that stands still until it is told to move.
"""
