"""The other side of the endpoint: asking one, running one in a process of its own, timing one."""
