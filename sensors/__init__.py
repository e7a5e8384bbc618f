"""The events that launch the path by themselves."""
