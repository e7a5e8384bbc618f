"""The base of every error that the project raises on purpose. Subclasses live next to the code that raises them."""


class MlAssetsError(Exception):
    """A failure that the project foresees: the message names the culprit, the limit and the next command."""


class PassingFault(MlAssetsError):
    """Something outside of the project is away or busy: the same work again, a little later, may succeed."""
