"""Trying gates where the truth is known: sabotage, simulated worlds, resampled windows. Decides nothing (docs/gates.md)."""
