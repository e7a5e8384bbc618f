"""A plan with nothing to do, as a whole process: on months of the demo next to `dvc status`, and on 10,000 partitions.

Each home is first shown to be judged at all: with one delivered byte changed the same command says stale, with the old
bytes delivered again it says nothing to do. A state that was planned before is known by its digest; the first plan is not.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import Spent, run, spend
from benchmarks.homes import dvc_repository, many_partitions
from benchmarks.tables import spread, table
from ml_assets.cli.path.plan import STALE
from ml_assets.cli.shared.workspace import Workspace
from ml_assets.spec.product import Product, load_all
from resources.settings import settings

PARTITIONS = 10_000
DVC_STATUS_SECONDS = 0.8
"""CPU seconds of `dvc status` on the flights path, measured before the project began: the reference where no dvc is given."""
MOST_SECONDS = 2.0
"""What a plan of 10,000 partitions may take."""
UNITS = ("cpu", "wall", "peak_mb")


class NotSeen(Exception):
    """The plan did not say what a change, or none, calls for."""


def measure(*, months: int, runs: int, dvc: str | None = None) -> dict[str, Any]:
    """The small home, alternating with `dvc status` where a dvc is given, then the large one."""
    with tempfile.TemporaryDirectory(prefix="ml-assets-bench-") as folder:
        small = _small(Path(folder) / "small", months, runs, dvc)
        large = _large(Path(folder) / "large", runs)
    return {"months": months, "small": small, "large": large}


def text(results: Mapping[str, Any]) -> str:
    """The tables."""
    small, large = results["small"], results["large"]
    rows = [["plan", *_spreads(small["plan"])]]
    rows += [[f"dvc status, {small['dvc_stages']} stages", *_spreads(small["dvc"])]] if small["dvc"] else []
    named = "dvc status, median" if small["dvc"] else f"dvc status, {DVC_STATUS_SECONDS} s as noted once (--dvc measures it)"
    many = [["plan", *_spreads(large["plan"])], ["the first one, that reads each file and manifest", *_spreads(large["first"])]]
    head = ["CPU s", "wall s", "peak MB"]
    return "\n\n".join(
        [
            table([f"nothing to do, {results['months']} months", *head], rows),
            f"plan / {named}: CPU {small['ratio']:.2f}, at most 1",
            table([f"nothing to do, {large['partitions']} partitions", *head], many),
            f"plan / {MOST_SECONDS} s: CPU {large['ratio']:.2f}, at most 1; {large['manifests']} manifests",
        ]
    )


def _spreads(spent: Mapping[str, list[float]]) -> list[str]:
    return [spread(spent[unit]) for unit in UNITS]


def _small(folder: Path, months: int, runs: int, dvc: str | None) -> dict[str, Any]:
    home = folder / "home"
    run("benchmarks.replay", ["--home", str(home), "--months", str(months)])
    space = Workspace(settings({"ML_ASSETS_HOME": str(home)}))
    product = load_all(space.settings.products)[many_partitions.NAME]
    stages = dvc_repository.make(space, product, folder / "dvc", dvc) if dvc else 0
    first = sees_a_change(space, product)
    took: dict[str, list[Spent]] = {"plan": [], "dvc": []}
    for _ in range(runs):
        took["plan"].append(nothing_to_do(space))
        took["dvc"] += [dvc_repository.status(folder / "dvc", dvc)] if dvc else []
    plan, status = _units(took["plan"]), _units(took["dvc"])
    reference = median(status["cpu"]) if dvc else DVC_STATUS_SECONDS
    compared = {"reference": reference, "ratio": median(plan["cpu"]) / reference, "dvc_stages": stages}
    return {"plan": plan, "dvc": status if dvc else None, "first": _units([first]), **compared}


def _large(folder: Path, runs: int) -> dict[str, Any]:
    product = many_partitions.by_day(folder / "products")
    space = many_partitions.space_of(folder / "home", product)
    manifests = many_partitions.fill(space, product, PARTITIONS)
    first = sees_a_change(space, product)
    plan = _units([nothing_to_do(space) for _ in range(runs)])
    counted = {"partitions": PARTITIONS, "manifests": manifests, "ratio": median(plan["cpu"]) / MOST_SECONDS}
    return {"plan": plan, "first": _units([first]), **counted}


def nothing_to_do(space: Workspace) -> Spent:
    """A plan that finds nothing."""
    spent = _plan(space, 0)
    planned = json.loads(spent.output)[many_partitions.NAME]
    if planned["run"] or planned["causes"]:
        raise NotSeen(f"nothing was changed; the plan says {planned}")
    return spent


def sees_a_change(space: Workspace, product: Product) -> Spent:
    """The first plan of a home, after which a changed delivery is called stale, and its old bytes nothing to do."""
    first = nothing_to_do(space)
    keys = space.landing.delivered(product)
    table, key = next(iter(product.delivery.tables)), keys[len(keys) // 2]
    content = space.landing.file(product, table, key).read_bytes()
    space.landing.put(product, table, key, content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    plan = json.loads(_plan(space, STALE).output)[product.name]
    if f"{table} {key} redelivered with other content" not in plan["causes"]:
        raise NotSeen(f"{table} {key} was changed; the plan says {plan['causes']}")
    space.landing.put(product, table, key, content)
    nothing_to_do(space)
    space.ledger.close()
    return first


def _plan(space: Workspace, code: int) -> Spent:
    argv = [sys.executable, "-m", "ml_assets", "plan", many_partitions.NAME, "--json"]
    return spend(argv, environ=space.settings.environ(), code=code)


def _units(spent: list[Spent]) -> dict[str, list[float]]:
    return {unit: [getattr(process, unit) for process in spent] for unit in UNITS}
