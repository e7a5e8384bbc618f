"""Use cases above the resources: making the snapshots of a stage, proving claims about them, bringing inputs up to date."""
