"""What was made from what, and what would be made now: stages, partitions, recipes, manifests, plans."""
