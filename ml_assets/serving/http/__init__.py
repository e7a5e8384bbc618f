"""The endpoint over HTTP: server, workers, routes, admission and counters."""
