"""The homes and repositories that benchmarks fill before they measure."""
