"""Trying a product's gates on what is stored: sabotage, planted truths, and the past under another block."""
