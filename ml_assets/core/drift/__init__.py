"""Whether a partition differs from earlier ones by more than they differ by nature: histograms in, a verdict with a stated
rate out."""
