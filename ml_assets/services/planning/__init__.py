"""The work that would run now and why: the situation that a plan looks at, and its root causes in words."""
