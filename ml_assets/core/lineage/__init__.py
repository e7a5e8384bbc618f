"""The graph of snapshots, recorded and planned: stages, partitions, recipes, manifests, plans."""
