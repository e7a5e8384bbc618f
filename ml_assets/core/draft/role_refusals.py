"""Labels and groups that are refused, since what would be drafted of them would never do what was meant."""

from collections.abc import Sequence

from ml_assets.core.draft.columns import SourceColumn
from ml_assets.core.draft.request import DraftRefused, DraftRequest


def refuse_spellings(label: SourceColumn, levels: Sequence[object], request: DraftRequest) -> None:
    """Refuse a label of texts that differ only in capital letters or spaces: one outcome would be several, and some of the yes a
    no."""
    spelled: dict[str, list[str]] = {}
    for level in levels if label.kind == "text" else ():
        spelled.setdefault(" ".join(str(level).split()).casefold(), []).append(str(level))
    alike = next((texts for texts in spelled.values() if len(texts) > 1), None)
    if alike and request.task != "multiclass":
        raise DraftRefused(
            f"--label {label.name}: {', '.join(map(repr, alike))} differ only in capital letters or spaces; write each outcome "
            f"one way, or keep them apart as classes: --task multiclass"
        )


def refuse_few_groups(group: SourceColumn | None, *, least: int) -> None:
    """Refuse a group with fewer values than anything is decided on."""
    if group is not None and (count := group.known.n_unique()) < least:
        values = "1 value" if count == 1 else f"{count} values"
        raise DraftRefused(
            f"--group {group.name}: it has {values}, and a verdict, which counts values, needs {least} or more; leave --group out"
        )
