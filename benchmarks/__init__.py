"""What the path costs, each number measured beside its reference in one run. Nothing is written into the checkout."""
