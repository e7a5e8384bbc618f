"""The text of a drafted product.yaml."""

import json
import textwrap

from ml_assets.core.draft.draft import Draft
from ml_assets.core.draft.gates import Plan
from ml_assets.core.draft.threshold_guards import BUDGET, DraftedClaim
from ml_assets.spec.delivery import TableSpec

WIDTH = 118
MANY_ROWS = 5000


def product_text(draft: Draft, plan: Plan, *, port: int) -> str:
    """product.yaml. The texts of the data are written as JSON, which is YAML."""
    roles, history = draft.roles, draft.history
    positive = f", positive: {json.dumps(roles.positive, ensure_ascii=False)}" if roles.positive else ""
    positive += f", classes: {json.dumps(roles.classes, ensure_ascii=False)}" if roles.classes else ""
    time = f"time: {roles.time.field}, " if roles.time else ""
    lines = [
        *_comment("Drafted by `ml-assets new`: review it. Every key: docs/product.md"),
        f"name: {draft.name}",
        f"title: {json.dumps(_title(draft), ensure_ascii=False)}",
        f"task: {roles.task}",
        "",
        *_partitions(draft),
        "",
        "delivery:",
        "  tables:",
        f"    {draft.table}: {{{_delivery(draft)}}}",
        *_origin(draft),
        "",
        f"features: {{key: [{', '.join(roles.key.fields)}], {time}label: {roles.label.field}{positive}}}",
        "",
        *_windows(draft, plan),
        "",
        _model(draft),
        *(["", "decision: {threshold: 0.5}"] if roles.task == "binary" else []),
        *(["", f"evaluation: {{slices: [{', '.join(c.field for c in draft.slices)}]}}"] if draft.slices else []),
        "",
        *_gates(draft, plan),
        "",
        f"endpoint: {{host: 127.0.0.1, port: {port}, smoke_rows: {max(1, min(200, *history.rows.values()))}}}",
        "",
        _monitoring(draft, plan),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _partitions(draft: Draft) -> list[str]:
    history, keys = draft.history, draft.history.keys
    if draft.roles.time is None:
        text = "A table without a time: each delivery is all of it, in the place of the one before."
        return [*_comment(text), "partitions: {every: delivery}"]
    text = f"The rows of this history are cut by {draft.roles.time.name} (UTC) into {len(keys)} deliveries, "
    text += f"{keys[0]} to {keys[-1]}, with {history.typical:,} rows usually."
    return [*_comment(text), f"partitions: {{every: {history.every}, start: {json.dumps(keys[0])}}}"]


def _windows(draft: Draft, plan: Plan) -> list[str]:
    release = f"First release in a replay of this history: {plan.release}." if plan.release else ""
    if not draft.history.is_static:
        window = f"window: {{train: {plan.windows.train}, test: {plan.windows.test}, minimum: {plan.windows.minimum}}}"
        return [*_comment(release), window]
    group = f", group: {draft.roles.group.field}" if draft.roles.group else ""
    text = "By its key a row is trained on from the first delivery on, or in a fold that one delivery is judged on first."
    return [*_comment(f"{text} {release}".rstrip()), f"split: {{train: 0.5, folds: {len(plan.windows.keys) - 1}{group}}}"]


def _title(draft: Draft) -> str:
    roles = draft.roles
    if roles.task == "binary":
        return f"Is {roles.label.name} {roles.positive}?" if roles.positive else f"Is {roles.label.name} true?"
    return f"What is {roles.label.name}?"


def _delivery(draft: Draft) -> str:
    spec, time = draft.spec, draft.roles.time.name if draft.roles.time else ""
    declared = TableSpec(**spec.model_dump(), time=time)
    parts = [f"format: {spec.format}"]
    for name, value in declared.model_dump(exclude_defaults=True).items():
        if name not in ("format", "time"):
            parts.append(f"{name}: {json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)}")
    return ", ".join([*parts, *([f"time: {json.dumps(time, ensure_ascii=False)}"] if time else [])])


def _origin(draft: Draft) -> list[str]:
    """The section `sources`, where the next deliveries come from a database."""
    if draft.origin is None:
        return []
    how = "each once it is over" if draft.roles.time else "when somebody asks for one"
    why = f"Deliveries are taken from the database by this query, {how}: `ml-assets extract {draft.name}`, or a sensor."
    query = [f"      {line}".rstrip() for line in draft.origin.sql.splitlines()]
    return [
        "",
        *_comment(why),
        "sources:",
        f"  {draft.table}:",
        f"    database: {json.dumps(draft.origin.database)}",
        "    sql: |-2",
        *query,
    ]


def _model(draft: Draft) -> str:
    is_large = sum(draft.history.rows.values()) >= MANY_ROWS
    size = "iterations: 200, learning_rate: 0.1, depth: 6" if is_large else "iterations: 100, learning_rate: 0.05, depth: 4"
    return f"model: {{{size}, seed: 7, threads: 2}}"


def _gates(draft: Draft, plan: Plan) -> list[str]:
    minimum = f"units: {plan.minimum.units}"
    if draft.roles.task == "binary":
        minimum += f", positives: {plan.minimum.positives}, negatives: {plan.minimum.negatives}"
    if draft.roles.task == "multiclass":
        minimum += f", per_class: {plan.minimum.per_class}"
    lines = [
        *_comment("What a verdict promises: docs/gates.md. Margins are what the windows of this history can decide; "
                  f"`ml-assets gates backtest {draft.name}` says so of them, and of any others, once the history is in."),
        "gates:",
        f"  unit: {plan.unit}",
        f"  minimum: {{{minimum}}}",
        f"  budget: {{alpha: {BUDGET.alpha:g}, looks: {BUDGET.looks}, ships: {BUDGET.ships}, feedback: verdict}}",
        f"  baselines: {{champion: serving, anchor: last_proven, baseline: {plan.baseline}}}",
        "  claims:",
    ]  # fmt: skip
    for claim in plan.claims:
        lines += [*_comment(claim.why, "    "), f"    - {{{_claim(claim)}}}"]
    return lines


def _claim(claim: DraftedClaim) -> str:
    for_each = f"for_each: [{', '.join(claim.for_each)}], " if claim.for_each else ""
    return f"name: {claim.name}, {for_each}{claim.kind}: {claim.text}" + (", family: holm" if claim.for_each else "")


def _monitoring(draft: Draft, plan: Plan) -> str:
    moving = [f.name for f in draft.features if f.name in ("day_of_year", "month", "year", "week")]
    ignored = f", ignore: [{', '.join(moving)}]" if moving else ""
    return f"monitoring: {{score_psi: 0.25, column_psi: 0.25, metric: {plan.metric}, max_drop: {plan.max_drop:g}{ignored}}}"


def _comment(text: str, indent: str = "") -> list[str]:
    lead = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead, break_long_words=False) if text else []
