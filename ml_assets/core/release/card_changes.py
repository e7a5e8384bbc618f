"""The changes in a candidate since the champion: data, parameters, code, libraries. The same lines in card, report, Dagster."""

from collections.abc import Iterator, Mapping

from ml_assets.core.lineage.differences import declared
from ml_assets.core.lineage.manifests import Manifest

COMPARED = ("model", "evaluation", "features")
"""The stages whose recipes say what is new since the champion."""


def changes(manifests: Mapping[str, Manifest], champion: Mapping[str, Manifest] | None) -> Iterator[str]:
    """The differences between the candidate's recipes and the champion's, and the data that came and went; both by stage."""
    if champion is None:
        yield "There is no champion: this is a first release."
        return
    then, now = (set(_inputs(side["model"])) for side in (champion, manifests))
    before, after = (dict(_inputs(side["model"])) for side in (champion, manifests))
    redone = sorted(key for key in before.keys() & after.keys() if before[key] != after[key])
    for title, keys in (
        ("trained on as well", sorted(after.keys() - before.keys())),
        ("trained on no more", sorted(before.keys() - after.keys())),
        ("trained on with other content", redone),
    ):
        if keys:
            yield f"{title}: {', '.join(keys)}"
    causes = [
        f"{stage}: {cause.message}"
        for stage in COMPARED
        for cause in declared(champion[stage].recipe, manifests[stage].recipe)
        if cause.kind != "data"
    ]
    yield from causes
    if then == now and not causes:
        yield "Nothing that is declared: the same data, parameters, code and libraries."


def _inputs(model: Manifest) -> list[tuple[str, str]]:
    return [(source.partition, source.data_version) for source in model.recipe.inputs]
