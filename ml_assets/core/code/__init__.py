"""The code digest of a stage: the first-party code that its builder's bytes flow through, by meaning.

`meaning` says when two texts compute the same, `units` takes a module apart, `closure` follows what a function reaches.
"""
