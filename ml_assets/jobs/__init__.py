"""The jobs of a product: its path, its checks, and people's decisions in the Launchpad."""
