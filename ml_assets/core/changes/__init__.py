"""The meaning of a change of a product's declaration: which values differ, and whether a candidate must now show less than
before."""
