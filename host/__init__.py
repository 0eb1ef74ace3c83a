"""The runtime: packages (what the compiler writes and a board reads), sessions, pre- and post-processing, hetero-run.

Needs numpy and pillow only; knows nothing of the compiler.
"""
