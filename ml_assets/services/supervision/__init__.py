"""The parts of a deployment as processes: which there are, keeping them alive, and saying how they are."""
