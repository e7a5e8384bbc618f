"""The path, measured: months of the demo are delivered and run in this process, as `ml-assets demo` does. Prints JSON.

A child of the benchmarks, which give it a home of its own: `python -m benchmarks.replay --home FOLDER --months 4`.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.steps import Mark, StepMeter
from ml_assets.cli.shared.process_end import leave

PRODUCT = "flights"


def main() -> None:
    """Replay, and print what each month and step took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--months", type=int, required=True)
    arguments = parser.parse_args()
    os.environ["ML_ASSETS_HOME"] = str(arguments.home)
    json.dump(replay(arguments.months), sys.stdout)
    leave(0)  # as `ml-assets` does


def replay(months: int) -> dict[str, Any]:
    """Deliver and run the months on the home of the settings."""
    from ml_assets.cli.shared.context import product_named, several_runs, workspace
    from ml_assets.services.demo_flights import Year

    space = workspace()
    product = product_named(PRODUCT, space.settings)
    year = Year.open()
    for name, content in year.reference().items():
        space.landing.put(product, name, "", content)
    months_done = []
    with several_runs() as tidy:
        for key in year.months[:months]:
            months_done.append(_month(space, product, key, year.month(key)))
            tidy()
    return {"months": months_done, "candidates": _candidates(space, product)}


def _month(space: Any, product: Any, key: str, files: dict[str, bytes]) -> dict[str, Any]:
    from ml_assets.cli.shared.context import run_job
    from ml_assets.cli.shared.progress import Progress

    started, meter, progress = Mark.now(), StepMeter(), Progress(key, partition=key, quiet=True)

    def listener(entry: Any) -> None:
        progress(entry)
        meter(entry)

    for name, content in files.items():
        space.landing.put(product, name, key, content)
    run_job(space, product, "path", tags={"dagster/partition": key}, listener=listener)
    if progress.errors:
        sys.exit(f"{key}: {'; '.join(progress.errors)}")
    took = Mark.now().since(started)
    promotion = meter.ended.get(f"{product.name}__endpoint__production")
    promoted = promotion.since(started) if promotion else None
    computed = sum(how == "made" and not stage.startswith("endpoint") for stage, how in progress.stages.items())
    return {
        "partition": key,
        **took,
        "promoted": promoted,
        "steps": meter.steps,
        "checks": sorted(meter.checks),
        "made": computed,
    }


def _candidates(space: Any, product: Any) -> dict[str, float]:
    """The candidate's value of the first gate's metric by month: the plain script has to find the same."""
    metric = product.gates.metric
    keys = space.ledger.partitions(product.name, "evaluation")
    evaluations = {key: space.lineage.current(product, "evaluation", key).facts["metrics"] for key in keys}
    return {key: metrics[metric]["candidate"]["value"] for key, metrics in evaluations.items()}


if __name__ == "__main__":
    main()
