"""YAML as text to edit: where each value stands, and how to change it and no other byte. Pure.

File updaters are written with it. `nodes` reads, `keys` finds, `edits` writes, `references` knows what
a value says of an image, `sites` finds and replaces whole references.
"""
