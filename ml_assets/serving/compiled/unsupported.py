"""The one way in which SQL or a model is left to the plain path."""


class Unsupported(Exception):
    """SQL or a model whose compiled form isn't known to give the plain path's result on every row; the message says why."""
