"""Rules about how data arrives: slices of time need columns of time, deliveries of a static table have none."""

from collections.abc import Mapping
from typing import Any

from ml_assets.spec.automation import LandingSpec
from ml_assets.spec.delivery import DeliverySpec
from ml_assets.spec.gates import GateSpec
from ml_assets.spec.partitions import PartitionSpec, SplitSpec, WindowSpec
from ml_assets.spec.sections import FeatureSpec, KeysSpec


def arrival_problem(section: object, before: Mapping[str, Any]) -> str:
    """The mistake in a section, given those `before` it that could be read, by name; empty if there is none."""
    partitions: PartitionSpec = before["partitions"]
    match section:
        case DeliverySpec():
            return _delivery_problem(section, partitions)
        case FeatureSpec():
            return _features_problem(section, partitions)
        case KeysSpec() if partitions.is_static and section.across_partitions != "allow":
            return "across_partitions: deliveries of a static table have the same keys, which the split keeps apart; leave it out"
        case SplitSpec() if "features" in before:
            return _split_problem(section, partitions, before["features"])
        case GateSpec() if "split" in before:
            return _unit_problem(section.unit, partitions, before["split"])
        case LandingSpec() if partitions.is_static and section.late is not None:
            return "late: nothing says when the next delivery is due; leave it out"
    return ""


def _delivery_problem(delivery: DeliverySpec, partitions: PartitionSpec) -> str:
    """The mistake in the time columns of the delivered tables; empty if there is none."""
    for name, table in delivery.tables.items():
        if partitions.is_static and table.time:
            return f"tables.{name}.time: each delivery is the whole table, whatever the time of its rows; leave it out"
        if not partitions.is_static and not table.time:
            return f"tables.{name}.time: the key is missing; it names the column that says which {partitions.every} a row is of"
    return ""


def _features_problem(features: FeatureSpec, partitions: PartitionSpec) -> str:
    """The mistake in the time of a question, or in what it may look back at; empty if there is none."""
    if partitions.is_static and features.lookback:
        return f"lookback: each delivery is in the place of the one before; found {features.lookback}, allowed: 0"
    if not partitions.is_static and not features.time:
        return "time: the key is missing; it names the column that says when a question is asked"
    return ""


def _split_problem(split: SplitSpec, partitions: PartitionSpec, features: FeatureSpec) -> str:
    """The mistake in the division of the keys; empty if there is none."""
    if not partitions.is_static and split != SplitSpec():
        return f"a partition by {partitions.every} is first tested on, then trained on; only `every: delivery` has a split"
    if split.group and split.group not in features.key:
        return f"group: '{split.group}' is not part of features.key; allowed: {', '.join(features.key)}"
    return ""


def window_problem(partitions: PartitionSpec, *, is_given: bool) -> str:
    """The mistake in the window; empty if there is none."""
    if partitions.is_static and is_given:
        return "a delivery is trained and tested on by its own rows; leave window out, and say how in split"
    if not (partitions.is_static or is_given):
        return "the key is missing; such as `window: {train: 12, test: 1, minimum: 1}`"
    return ""


def pooled_problem(gates: GateSpec, window: WindowSpec, *, is_static: bool) -> str:
    """Why test windows cannot be pooled for a candidate that is kept; empty if they can."""
    if gates.pooled is None:
        return ""
    if is_static:
        return "a delivery of a static table is tested on one fold of its rows, and pools none; leave it out"
    needed = 1 + window.test
    if gates.budget.looks < needed:
        membership = f"a partition is in {window.test} windows" if window.test > 1 else "a partition is in one window"
        return (
            f"{membership}, each asked about its new candidate, and is asked about the one that is kept; budget.looks "
            f"{gates.budget.looks} is too few; allowed: {needed} or more"
        )
    return ""


def _unit_problem(unit: str, partitions: PartitionSpec, split: SplitSpec) -> str:
    """The mistake in the unit of the gates: rows that the split keeps together aren't independent."""
    needed = split.group or "row"
    if partitions.is_static and unit != needed:
        reason = f"the split keeps the rows of one {split.group} together" if split.group else "the split divides single rows"
        return f"unit: {reason}; found '{unit}', allowed: {needed}"
    return ""
