"""The search of model parameters: what of it needs neither data nor a search library."""
