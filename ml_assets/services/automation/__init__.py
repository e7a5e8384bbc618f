"""Work of sensors, and of commands that end a run: deliveries that are due, and the outcome of a run."""
