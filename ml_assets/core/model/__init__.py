"""From features to a model, and from a model to scores."""
