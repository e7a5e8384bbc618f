"""Small, deterministic SVG pictures of evaluations, fits, drift and verdicts."""
