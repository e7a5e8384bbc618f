"""product.yaml and contract.py of a product: what may be written, reading it, and all that is wrong with it."""
