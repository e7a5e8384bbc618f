"""The arguments of `ml-assets new`, and the error that names what is missing."""

from dataclasses import dataclass

from ml_assets.errors import MlAssetsError
from ml_assets.spec.partitions import Every
from ml_assets.spec.tasks import Task


class DraftRefused(MlAssetsError):
    """No product can be drafted from this data as asked; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """The arguments of `ml-assets new`; None and () where the draft decides. Columns are named as delivered."""

    name: str
    label: str
    key: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    task: Task | None = None
    every: Every | None = None
    positive: str | None = None
    known: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
