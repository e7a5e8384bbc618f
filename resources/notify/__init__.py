"""Channels that notices go out by, one module each. Does not belong here: which notices there are, and which were sent."""
