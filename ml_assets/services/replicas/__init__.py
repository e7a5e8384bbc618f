"""Servers of an endpoint, on any machine: how each follows the ledger, and where it is asked."""
