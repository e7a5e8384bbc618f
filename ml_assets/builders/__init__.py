"""One pure function for each stage: its inputs, the product and the partition in; the content of a snapshot out.

The code digest of a stage is what its builder reaches (core.code.closure). Nothing here asks a clock, the ledger or the store.
"""
