"""The products: one folder each. Belongs here: declarations. Does not: code that more than one product needs."""
