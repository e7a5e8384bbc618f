"""What would run now and why: what a plan looks at, and its root causes in words."""
