"""The client's side of the endpoint: requests to a server, a server in a process of its own, and its latency."""
