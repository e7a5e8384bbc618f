"""Gather what a plan looks at, in few queries: the current manifests, the declarations, the deliveries and the releases that
serve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from ml_assets.core.digests import digest_json
from ml_assets.core.lineage import stages
from ml_assets.core.lineage.differences import differences, shown
from ml_assets.core.lineage.manifests import Manifest
from ml_assets.core.lineage.planning import Cause, Definition, Item, Planner, Situation
from ml_assets.core.lineage.reopenings import DECISIONS
from ml_assets.core.outcomes.maturity import is_matured
from ml_assets.core.release.serving_history import answered
from ml_assets.services.build_snapshots import reopening_digests
from ml_assets.services.folds import no_fold
from ml_assets.services.planning import empty_plans
from ml_assets.services.planning.ledger_reads import DeclaredKind, current_manifests, made_otherwise, production_moves, stored
from ml_assets.services.planning.untrained_candidates import untrained
from ml_assets.spec.product import Product
from resources import landing_digests as delivered
from resources.ast_cache import ast_cache
from resources.endpoints.moves import recalled_bundles
from resources.landing import Landing
from resources.ledger import recalls
from resources.ledger.ledger import Ledger
from resources.lineage import Lineage
from resources.outcome_files import by_asset, outcome_digests

DECLARED_KINDS: tuple[DeclaredKind, ...] = get_args(DeclaredKind)
SHOWN = 6
"""Names of what changed that are listed for one cause."""


def make_plan(lineage: Lineage, landing: Landing, product: Product, *, cache: Path) -> list[Item]:
    """Everything of the product that would run now, in path order, each with its root causes. What was looked at before is
    remembered in `cache`."""
    around = surroundings(lineage, landing, product, cache=cache)
    known = cache / f"planned-{product.name}"
    if empty_plans.is_nothing_to_do(known, around.state):
        return []
    items = Planner(product, situation(lineage.ledger, product, around)).plan()
    if not items:
        empty_plans.keep(known, around.state)
    return items


@dataclass(frozen=True)
class Surroundings:
    """The situation outside the ledger that a plan looks at. `state` is the digest of it and of the ledger."""

    stored: Sequence[str]
    delivered: Mapping[str, Mapping[str, str]]
    reference: Mapping[str, str]
    definitions: Mapping[str, Definition]
    state: str
    outcomes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def stale_before(lineage: Lineage, product: Product, stage: str) -> list[Item]:
    """The stale snapshots of the stages up to `stage`, by code, configuration, environment and recorded inputs: what is delivered
    and was not read yet, what was never made (a refused delivery blocks no later partition), and which release serves, are left
    aside."""
    with lineage.ledger.engine.connect() as connection:
        names = stored(lineage.snapshots.blobs, connection, product)
    around = Surroundings(names, {}, {}, definitions(product), state="")
    items = Planner(product, situation(lineage.ledger, product, around), makes_missing=False).plan(until=stage)
    return [item for item in items if {cause.kind for cause in item.causes} != {"release"}]


def surroundings(lineage: Lineage, landing: Landing, product: Product, *, cache: Path) -> Surroundings:
    """Look at the store's names, the delivered files and what is declared."""
    digests = delivered.FileDigests.read(cache / f"landing-{product.name}.json")
    files = delivered.partitions(landing, product, digests)
    reference = delivered.reference(landing, product, digests)
    outcomes = {key: by_asset(product, named) for key, named in outcome_digests(landing, product, digests).items()}
    digests.write()
    declared = definitions(product)
    with ast_cache(cache / "code.json", stages.SOURCE), lineage.ledger.engine.connect() as connection:
        names = stored(lineage.snapshots.blobs, connection, product)
        waits = [key for key in outcomes if not is_matured(product, key, datetime.now(UTC))]
        every = {**files, "": {"outcomes": outcomes, "immature": waits}} if outcomes else files
        state = empty_plans.state(connection, product, stored=names, delivered=every, reference=reference, definitions=declared)
    return Surroundings(names, files, reference, declared, state, outcomes)


def definitions(product: Product) -> dict[str, Definition]:
    """The definition of each stage as declared now: all that decides its output apart from its inputs."""
    return {name: _definition(product, stage) for name, stage in stages.STAGES.items()}


def situation(ledger: Ledger, product: Product, around: Surroundings) -> Situation:
    """All that a plan of the product looks at."""
    with ledger.engine.connect() as connection:
        manifests = current_manifests(connection, product, around.stored)
        moves = production_moves(connection, product)
        refused = untrained(connection, product)
    is_any = bool(recalls.recalls(ledger, product.name))
    known = {key for stage, key in manifests.current if stage == "raw"} | set(around.delivered)
    now = datetime.now(UTC)
    return Situation(
        current=manifests.current,
        outcomes=around.outcomes,
        immature=frozenset(key for key in known if not is_matured(product, key, now)),
        definitions=around.definitions,
        delivered=around.delivered,
        reference=around.reference,
        answered=answered(moves, sorted(known)),
        accepted=manifests.accepted,
        foldless=frozenset(key for key in known if no_fold(ledger, product, key)),
        reopened=reopening_digests(ledger, product),
        untrained={key: stage.as_planned for key, stage in refused.items()},
        recalled=recalls.recalled_partitions(ledger, product.name, around.delivered) if is_any else {},
        recalled_releases=recalled_bundles(ledger, product.name, "production") if is_any else frozenset(),
    )


def tell(ledger: Ledger, product: Product, cause: Cause) -> str:
    """A root cause in words, with what exactly changed where the manifests say it."""
    where = f"{cause.stage} {cause.partition}".strip()
    match cause.kind:
        case "delivered":
            return (
                f"{where} redelivered with other content" if _is_recorded(ledger, product, cause) else f"{where} newly delivered"
            )
        case "missing":
            return f"{where} was never made"
        case "lost":
            return f"{where}: its snapshot is missing from the store"
        case "release":
            return f"the release that scored {cause.partition} was recalled"
        case "input" if cause.stage.startswith(DECISIONS):
            return f"a person had {cause.partition} tested on the last fold again"
        case "input":
            return f"{where} has other content than what was read"
        case "recalled":
            return f"{where} was recalled"
        case "code" | "config" | "environment" as kind:
            return _declared(ledger, product, cause.stage, kind)


def _is_recorded(ledger: Ledger, product: Product, cause: Cause) -> bool:
    stage = "reference" if cause.stage in product.delivery.reference else "raw"
    return ledger.current(product.name, stage, cause.partition) is not None


def _declared(ledger: Ledger, product: Product, stage: str, kind: DeclaredKind) -> str:
    """Compare what the newest manifest that was made otherwise recorded of its declaration with what is declared now."""
    now = getattr(_definition(product, stages.STAGES[stage]), kind)
    id = made_otherwise(ledger, product, stage, kind, now)
    then = ledger.manifest(id) if id else None
    return f"{kind} of {stage} changed" if then is None else declared_change(product, then, kind)


def declared_change(product: Product, then: Manifest, kind: DeclaredKind) -> str:
    """The difference between the present declaration and that of this manifest, in words."""
    stage = stages.STAGES[then.recipe.stage]
    now = {
        "config": stages.stage_config(product, stage),
        "environment": stages.environment(stage),
        "code": stages.stage_code_parts(product, stage),
    }[kind]
    changes = list(differences(then.recipe.details.get(kind, {}), now))
    names = {"config": "product.yaml", "environment": "library", "code": f"code of {stage.name}"}
    if kind == "code":
        return f"{names['code']} changed: {_few([path for path, _, _ in changes], ', ') or 'its files'}"
    message = _few([f"{path} {shown(old)} -> {shown(new)}" for path, old, new in changes], "; ")
    return f"{names[kind]}: {message or f'{kind} of {stage.name} changed'}"


def declared_otherwise(product: Product, manifest: Manifest) -> list[DeclaredKind]:
    """The kinds of declaration by which this manifest's recipe differs from what its stage would be made with now."""
    now = _definition(product, stages.STAGES[manifest.recipe.stage])
    return [kind for kind in DECLARED_KINDS if getattr(manifest.recipe, kind) != getattr(now, kind)]


def _few(words: Sequence[str], separator: str) -> str:
    """The first few of many; `ml-assets lineage --json` has all of them."""
    more = [f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else []
    return separator.join([*words[:SHOWN], *more])


def _definition(product: Product, stage: stages.Stage) -> Definition:
    config = digest_json(stages.stage_config(product, stage))
    return Definition(stages.stage_code(product, stage), config, stages.environment_digest(stage))
