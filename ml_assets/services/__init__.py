"""Use cases above the workspace: making the snapshots of a stage, proving claims about them, bringing inputs up to date."""
