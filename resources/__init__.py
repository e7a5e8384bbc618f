"""The outside world, each part behind a plain value. Belongs here: what talks to it. Does not: what is computed."""
