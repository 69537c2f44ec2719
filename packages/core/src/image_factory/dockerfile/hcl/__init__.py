"""HCL as bake files write it: text to a syntax tree, a tree to values. Pure.

Why not python-hcl2: it leaves the templates in heredocs unread, refuses `!!x` and `${~ x }`, takes
time quadratic in a heredoc's blank lines, and writes a pickle beside its own code. The tests hold this
reader against it wherever both read a text.
"""
