"""The last lines of `ml-assets new`: what was drafted, what a person should look at, and the next two commands."""

import shlex
from collections.abc import Iterator

from ml_assets.services.new_product.drafting import WrittenProduct


def summary(written: WrittenProduct) -> str:
    """Lines for the terminal."""
    draft = written.draft
    lines = [f"wrote {written.folder}: {', '.join(written.files)}", ""]
    lines += [f"  {name:<10}{text}" for name, text in _rows(written)]
    if look := list(_to_look_at(written)):
        lines += ["", "Look at:", *(f"  - {line}" for line in look)]
    port, path = written.product.endpoint.port, shlex.quote(str(written.history.request))
    lines += [
        "",
        "Go on with:",
        f"  ml-assets demo {draft.name:<24} replay the {len(draft.history.keys)} deliveries down the whole path",
        f"  ml-assets serve {draft.name:<23} then ask it: curl -s http://127.0.0.1:{port}/predict -d @{path}",
    ]
    return "\n".join(lines)


def _rows(written: WrittenProduct) -> Iterator[tuple[str, str]]:
    draft, plan, roles = written.draft, written.plan, written.draft.roles
    positive = f", {roles.positive!r} is the yes" if roles.positive else ""
    classes = f", {len(roles.classes)} classes: {', '.join(map(str, roles.classes))}" if roles.classes else ""
    yield "task", f"{roles.task}, label {roles.label.name}{positive}{classes}"
    keys, folds = draft.history.keys, len(written.plan.windows.keys) - 1
    if roles.time is None:
        kept = f"{folds} folds" if folds > 1 else "one fold"
        yield "time", f"none: each delivery is the whole table; {kept} by the key to judge on before they are trained on"
    else:
        yield "time", f"{roles.time.name}; {len(keys)} deliveries by {draft.history.every}, {keys[0]} to {keys[-1]}"
    origin = f", made of {', '.join(column.name for column in roles.key.columns)}" if roles.key.is_made else ""
    yield "key", ("a digest of each row, since no column names it" if roles.key.is_counted else roles.key.field + origin)
    yield "features", ", ".join(feature.name for feature in draft.features)
    if draft.slices:
        yield "slices", ", ".join(column.name for column in draft.slices)
    value = f"; {plan.metric} was {plan.value:.3g} in the trial" if plan.value is not None else ""
    yield "gates", f"{', '.join(claim.name for claim in plan.claims)}, by {plan.unit}{value}"
    yield "release", f"the first {plan.release}" if plan.release and plan.release.number else "none in this history"
    yield "port", str(written.product.endpoint.port)
    yield "profile", str(written.history.profile)


def _to_look_at(written: WrittenProduct) -> Iterator[str]:
    """Lines about decisions that the draft isn't sure of."""
    draft, roles = written.draft, written.draft.roles
    for name, reason in roles.after.items():
        undo = "" if reason.startswith("--after") else f"; if it is known when the question is asked: --known {shlex.quote(name)}"
        yield f"{name} is taken for an outcome: {reason}{undo}"
    for suspect in draft.suspicious:
        strength = f"{suspect.column} alone tells {roles.label.name} with {suspect.metric} {suspect.value:.3f}"
        yield f"{strength}; if it is not known before: --after {shlex.quote(suspect.column)}"
    for name, reason in roles.unused.items():
        yield f"{name} is not a feature: {reason}"
    if roles.classes and roles.label.is_number and not draft.request.task:
        name, count = roles.label.name, len(roles.classes)
        yield f"{name} has {count} whole numbers, and is taken for {count} classes; if it is an amount: --task regression"
    if roles.positive and roles.label.is_number and not draft.request.positive:
        (other,) = {str(level) for level in roles.label.known.unique()} - {roles.positive}
        yes = f"of {other} and {roles.positive} the yes is {roles.positive}"
        yield f"{roles.label.name}: {yes}; if it is the other: --positive {other}"
    yield from draft.notes
    yield from written.plan.notes
    if (release := written.plan.release) and release.reasons:
        without = "; drafted without the time it is judged on folds: --every delivery" if roles.time else ""
        yield f"a replay of this history ends without a release: {'; '.join(release.reasons)}{without}"
