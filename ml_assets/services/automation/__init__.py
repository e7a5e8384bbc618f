"""What sensors do by themselves, and any command that ends a run: deliveries that are due, and what came of a run."""
