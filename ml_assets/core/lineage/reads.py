"""The inputs of a stage, declared once: Dagster's dependencies, what a run reads and what a plan compares follow from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ml_assets.core.lineage.partitions import partitions_of
from ml_assets.spec.partitions import DELIVERY_DIGITS, delivery_number
from ml_assets.spec.product import Product

Span = tuple[int, int]
"""The first and the last partition, counted from the one at hand (-1 is the one before it); none if last < first."""


def this(_: Product) -> Span:
    """The partition at hand alone."""
    return (0, 0)


def lookback(product: Product) -> Span:
    """The partitions before the one at hand that its features may look at."""
    return (-product.features.lookback, -1)


def trained(product: Product) -> Span:
    """The training window of a candidate, which ends where its test window begins; a delivery of a static table holds both."""
    if product.partitions.is_static:
        return (0, 0)
    window = product.window
    return (-(window.train + window.test - 1), -window.test)


def tested(product: Product) -> Span:
    """The test window of a candidate, which ends with the partition at hand."""
    return (-(product.window.test - 1), 0)


def earlier_deliveries(product: Product) -> Span:
    """The deliveries of a static table before the one at hand; no other product reads them."""
    return (-(10**DELIVERY_DIGITS), -1) if product.partitions.is_static else (0, -1)


def is_beyond_folds(product: Product, partition: str) -> bool:
    """Whether every reserve fold of a static table was the test window of an earlier delivery than this one."""
    return product.partitions.is_static and delivery_number(partition) > product.split.folds


def knowing_all_keys(product: Product, there: Sequence[str]) -> Sequence[str]:
    """Of earlier deliveries, those that know every key so far: the newest that knows those before it, if there is one."""
    knowing = [key for key in there if is_beyond_folds(product, key)]
    return knowing[-1:] or there


def partitions_before(product: Product) -> int:
    """The number of training partitions that an evaluation reads: as many as are tested, which tell what levels the test window
    should hold; all of them where a simple model is fitted, or where rows are left out whose key was trained on."""
    needs_all = product.gates.baselines.baseline or product.keys.across_partitions == "refuse"
    return product.window.train if needs_all else product.window.test


def always(_: Product) -> bool:
    """Every product has it."""
    return True


def has_labels(product: Product) -> bool:
    """Whether the product says when its outcomes are complete, and so follows them after serving."""
    return product.labels is not None


def labelled_apart(product: Product) -> bool:
    """Whether outcomes are delivered in a table of their own: then `outcomes` is trained and tested on, and no feature, score or
    figure of drift changes when a label comes."""
    return product.labels is not None and bool(product.labels.delivered)


def labelled_together(product: Product) -> bool:
    """Whether outcomes come with the partition's own tables: then the features have them."""
    return not labelled_apart(product)


def labelled_stage(product: Product) -> str:
    """The stage whose rows have the labels that models are trained and tested on."""
    return "outcomes" if labelled_apart(product) else "features"


@dataclass(frozen=True)
class Read:
    """A stage and which of its partitions. What is not required is taken as far as there is any: of that the last `newest`, where
    it is given, or those that are `chosen`, and none where there are fewer than `at_least`. Only products that have the stage
    read it, and of them only the partitions for which it `is_read`."""

    stage: str
    span: Callable[[Product], Span] = this
    is_required: bool = True
    at_least: Callable[[Product], int] = lambda _: 0
    newest: Callable[[Product], int] | None = None
    is_declared: Callable[[Product], bool] = always
    chosen: Callable[[Product, Sequence[str]], Sequence[str]] = lambda _, there: there
    is_read: Callable[[Product, str], bool] = lambda *_: True

    def taken(self, product: Product, there: Sequence[str]) -> Sequence[str]:
        """Of the partitions of the span that there are, in order, those that are read."""
        newest = there[-self.newest(product) :] if self.newest else self.chosen(product, there)
        return newest if len(newest) >= self.at_least(product) else ()


def keys(product: Product, partition: str, span: Span) -> list[str]:
    """The keys of a span that the product's calendar has, in order."""
    calendar = partitions_of(product)
    first, last = span
    if calendar.is_static:  # of a delivery, all before it may be meant: there is none before the first
        first = max(first, 1 - calendar.ordinal(partition))
    shifted = (calendar.shift(partition, offset) for offset in range(first, last + 1))
    return [key for key in shifted if calendar.contains(key)]
