"""What a stage reads, declared once: Dagster's dependencies, what a run reads and what a plan compares follow from it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ml_assets.core.lineage.partitions import partitions_of
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
    """The training window of a candidate, which ends where its test window begins."""
    window = product.window
    return (-(window.train + window.test - 1), -window.test)


def expected(product: Product) -> Span:
    """The last partitions of the training window, as many as are tested: they tell what levels the test window should hold."""
    window = product.window
    return (-(min(window.train, window.test) + window.test - 1), -window.test)


def tested(product: Product) -> Span:
    """The test window of a candidate, which ends with the partition at hand."""
    return (-(product.window.test - 1), 0)


@dataclass(frozen=True)
class Read:
    """A stage and which of its partitions; what is not required is taken as far as there is any, and fewer than `at_least`
    are as good as none."""

    stage: str
    span: Callable[[Product], Span] = this
    is_required: bool = True
    at_least: Callable[[Product], int] = lambda _: 0


def keys(product: Product, partition: str, span: Span) -> Iterator[str]:
    """The keys of a span that the product's calendar has, in order."""
    calendar = partitions_of(product)
    first, last = span
    shifted = (calendar.shift(partition, offset) for offset in range(first, last + 1))
    return (key for key in shifted if calendar.contains(key))


def wanted(product: Product, partition: str, read: Read, *, is_partitioned: bool) -> Sequence[tuple[str, str]]:
    """The (stage, partition) pairs of a declared read; an unpartitioned stage has the partition ""."""
    if not is_partitioned:
        return [(read.stage, "")] if read.stage != "reference" or product.delivery.reference else []
    found = [(read.stage, key) for key in keys(product, partition, read.span(product))]
    return found if len(found) >= read.at_least(product) else []
