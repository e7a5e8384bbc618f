"""What the path costs, each number measured next to its reference in one run. Nothing is written into the checkout."""
