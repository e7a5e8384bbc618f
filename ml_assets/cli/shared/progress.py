"""Progress of a run, told from its Dagster events: one line that grows with each asset, and what failed."""

import sys
import time
from typing import Any

import click

from ml_assets.core.lineage.warm_up import WARM_UP
from resources.dagster_events import failure_message

BAR = "·"
SHOWN = ("rebuilding", "stale snapshots", "rebuild.most", "without a verdict: ", "no candidate yet: ")
"""Lines of the log that are shown: what is brought up to date first, what that costs, why nothing was asked, what a candidate
lacks."""


def is_rebuilt(step: str | None, stage: str, partition: str | None, requested: str) -> bool:
    """Whether an event of the step is about an input that it brought up to date, not about the asset that it is for."""
    is_features = (step or "").endswith("__features")
    return is_features and (stage != "features" or (partition or requested) != requested)


class Progress:
    """Listens to a run's events. `stages` maps each materialized asset to "made" or "reused", without the inputs of other
    partitions that were rebuilt first; `refusals` are failed checks of severity ERROR, `errors` are steps that failed for
    another reason."""

    def __init__(self, title: str, *, partition: str, quiet: bool = False) -> None:
        """Start the clock. `title` begins the line; `quiet` prints nothing."""
        self.stages: dict[str, str] = {}
        self.rebuilt = 0
        self._partition = partition
        self.refusals: list[str] = []
        self.errors: list[str] = []
        self.seconds: dict[str, float] = {}
        self._quiet, self._started = quiet, time.monotonic()
        self._mark = self._started
        self._print(f"{title}  ")

    def __call__(self, entry: Any) -> None:
        """Take one entry of Dagster's event log."""
        event = entry.dagster_event
        if event is None:
            self._logged(entry.user_message)
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            self._materialized(event)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._checked(event)
        elif event.event_type_value == "STEP_FAILURE":
            self._failed(event)

    @property
    def failures(self) -> list[str]:
        """Everything that went wrong."""
        return [*self.refusals, *self.errors]

    def close(self) -> None:
        """End the line with the time it took."""
        if self._quiet:
            return
        built = sum(how == "made" for how in self.stages.values())
        rebuilt = f", {self.rebuilt} rebuilt" if self.rebuilt else ""
        self._print(f" {built} made, {len(self.stages) - built} reused{rebuilt}, {time.monotonic() - self._started:.1f} s\n")

    def _materialized(self, event: Any) -> None:
        materialization = event.step_materialization_data.materialization
        if WARM_UP in materialization.metadata:
            return
        stage = "/".join(materialization.asset_key.path[1:])
        if is_rebuilt(event.step_key, stage, materialization.partition, self._partition):
            self.rebuilt += 1
            return
        reused = materialization.metadata.get("reused")
        self.stages[stage] = "reused" if reused is not None and reused.value else "made"
        now = time.monotonic()
        self.seconds[stage], self._mark = now - self._mark, now
        self._print(f"{stage}{'=' if self.stages[stage] == 'reused' else ''} ")

    def _checked(self, event: Any) -> None:
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            where = "/".join(evaluation.asset_key.path)
            if is_rebuilt(event.step_key, "/".join(evaluation.asset_key.path[1:]), evaluation.partition, self._partition):
                where = f"{where} {evaluation.partition or ''}".strip()
            level = "failed" if evaluation.severity.value == "ERROR" else "warns"
            failure = f"{where}: {evaluation.check_name} {level}: {evaluation.description}"
            if level == "failed":
                self.refusals.append(failure)
            self._print("✗ " if level == "failed" else "! ")

    def _failed(self, event: Any) -> None:
        if "AssetCheckFailedError" in event.step_failure_data.error.message:
            return
        self.errors.append(f"{event.step_key}: {failure_message(event.step_failure_data)}")
        self._print("✗ ")

    def _logged(self, message: str) -> None:
        if " trees, " in message:
            self._print(BAR)
        elif any(words in message for words in SHOWN):
            self._print(f"\n  {message}\n  ")

    def _print(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, nl=False)
            sys.stdout.flush()
