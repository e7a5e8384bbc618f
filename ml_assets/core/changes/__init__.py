"""What a change of a product's declaration means: which values differ, and whether a candidate must now show less than before."""
