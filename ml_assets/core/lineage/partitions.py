"""Arithmetic on partition keys: slices of time, and numbered deliveries. Knows no data and no Dagster."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ml_assets.spec.partitions import (
    DELIVERY_DIGITS,
    KEY_FORMATS,
    Every,
    PartitionKeyError,
    WindowSpec,
    delivery_number,
    parse_key,
)
from ml_assets.spec.product import Product

__all__ = ["AsOf", "PartitionKeyError", "Partitions", "partitions_of", "utc_now"]

_HOURS: dict[Every, int] = {"hour": 1, "day": 24, "week": 7 * 24}
_MONTHS: dict[Every, int] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, kw_only=True)
class AsOf:
    """The partitions of one candidate: it trains on `train` and is judged on the later, unseen `test`."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Partitions:
    """The partitions of a product: from `start` on, up to but not including `end`. `folds`: the reserve folds of a static table,
    one for each delivery. Slices of time begin at midnight in `timezone`; hours are those of UTC."""

    every: Every
    start: str
    end: str | None = None
    folds: int = 0
    timezone: str = "UTC"

    @property
    def is_static(self) -> bool:
        """Whether each partition is a delivery of the whole table."""
        return self.every == "delivery"

    @property
    def fmt(self) -> str:
        """The strftime format of a key, as Dagster's partitions definitions take it."""
        return KEY_FORMATS[self.every]

    def window(self, key: str) -> tuple[datetime, datetime]:
        """The start (inclusive) and the end (exclusive) of a partition, naive UTC; a delivery of a static table is of all
        times."""
        if self.is_static:
            delivery_number(key)
            return datetime.min, datetime.max
        start = parse_key(self.every, key)
        return self._utc(start), self._utc(_move(start, every=self.every, by=1))

    def shift(self, key: str, n: int) -> str:
        """The key `n` partitions later; earlier for a negative `n`. May lie outside the product's calendar."""
        if self.is_static:
            return _delivery(delivery_number(key) + n)
        start = parse_key(self.every, key)
        try:
            return self._format(_move(start, every=self.every, by=n))
        except (OverflowError, ValueError):
            raise PartitionKeyError(f"'{key}' shifted by {n} {self.every}s lies outside the years 1 to 9999") from None

    def ordinal(self, key: str) -> int:
        """The number of a partition: one more for the next one. Quick arithmetic where many keys are compared."""
        if self.is_static:
            return delivery_number(key)
        start = parse_key(self.every, key)
        if months := _MONTHS.get(self.every):
            return (start.year * 12 + start.month - 1) // months
        return (start - datetime(1, 1, 1)) // timedelta(hours=_HOURS[self.every])

    def key_of(self, time: datetime) -> str:
        """The key of the partition that a moment (naive UTC) lies in."""
        if time.tzinfo is not None:
            raise PartitionKeyError(f"{time.isoformat()} carries a time zone; give naive UTC")
        start = self._local(time).replace(minute=0, second=0, microsecond=0)
        if self.every != "hour":
            start = start.replace(hour=0)
        if self.every == "week":
            start -= timedelta(days=start.weekday())
        if months := _MONTHS.get(self.every):
            start = start.replace(day=1, month=(start.month - 1) // months * months + 1)
        return self._format(start)

    def keys(self, first: str, last: str) -> tuple[str, ...]:
        """Every key from `first` to `last`, both included; none if `last` is before `first`."""
        if self.is_static:
            return tuple(map(_delivery, range(delivery_number(first), delivery_number(last) + 1)))
        start, stop = parse_key(self.every, first), parse_key(self.every, last)
        keys = []
        while start <= stop:
            keys.append(self._format(start))
            start = _move(start, every=self.every, by=1)
        return tuple(keys)

    def contains(self, key: str) -> bool:
        """Whether the product's calendar has this partition."""
        if self.is_static:
            return delivery_number(key) >= 1
        start = parse_key(self.every, key)
        begun = start >= parse_key(self.every, self.start)
        return begun and (self.end is None or start < parse_key(self.every, self.end))

    def require(self, key: str) -> str:
        """The key itself, if the product's calendar has it."""
        if not self.contains(key):
            end = f", before {self.end}" if self.end else ""
            raise PartitionKeyError(
                f"'{key}' is not a partition of this product: its partitions by {self.every} start at {self.start}{end}"
            )
        return key

    def unfinished(self, key: str, now: datetime) -> str:
        """The reason why a partition is not taken at a moment (naive UTC), as Dagster has it too; "" once it is over.
        A delivery of a static table has no duration."""
        if self.is_static or self.ordinal(key) < self.running(now):
            return ""
        return f"not finished yet: it ends at {self.window(key)[1]:%Y-%m-%d %H:%M} UTC"

    def running(self, now: datetime) -> int:
        """The number of the partition that a moment (naive UTC) lies in: it and those after it aren't over."""
        return self.ordinal(self.key_of(now))

    def require_finished(self, key: str, now: datetime) -> str:
        """The key itself, if the product's calendar has it and it is over at a moment (naive UTC)."""
        if why := self.unfinished(self.require(key), now):
            raise PartitionKeyError(f"'{key}' is {why}; a partition is delivered and run once it is over")
        return key

    def as_of(self, key: str, window: WindowSpec) -> AsOf | None:
        """The window that ends at `key`, shorter at the start; None with fewer than `minimum` train partitions. A delivery of a
        static table is both: its rows are divided by their keys, as far as a fold of them is open."""
        self.require(key)
        if self.is_static:
            return AsOf(train=(key,), test=(key,))
        test = self.keys(self.shift(key, 1 - window.test), key)
        train = self.keys(self.shift(key, 1 - window.test - window.train), self.shift(key, -window.test))
        train = tuple(k for k in train if self.contains(k))
        if len(train) < window.minimum:
            return None
        return AsOf(train=train, test=test)

    def _utc(self, local: datetime) -> datetime:
        """A moment that the calendar's clocks show, naive. Where they go back at midnight, the first of the two; where they skip
        it, when they do."""
        if self.timezone == "UTC":
            return local
        return local.replace(tzinfo=ZoneInfo(self.timezone)).astimezone(UTC).replace(tzinfo=None)

    def _local(self, time: datetime) -> datetime:
        """The local time of the calendar at a moment (naive UTC)."""
        if self.timezone == "UTC":
            return time
        return time.replace(tzinfo=UTC).astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)

    def _format(self, start: datetime) -> str:
        return start.strftime(self.fmt)


def utc_now() -> datetime:
    """This moment as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def partitions_of(product: Product) -> Partitions:
    """The calendar that a product declares."""
    spec = product.partitions
    folds = product.split.folds if spec.is_static else 0
    return Partitions(every=spec.every, start=spec.first, end=spec.end, folds=folds, timezone=spec.timezone)


def _delivery(number: int) -> str:
    if not 0 <= number < 10**DELIVERY_DIGITS:
        raise PartitionKeyError(f"there is no delivery {number}; allowed: 1 to {10**DELIVERY_DIGITS - 1}")
    return f"{number:0{DELIVERY_DIGITS}}"


def _move(start: datetime, *, every: Every, by: int) -> datetime:
    if length := _MONTHS.get(every):
        months = start.year * 12 + start.month - 1 + by * length
        return start.replace(year=months // 12, month=months % 12 + 1)
    return start + timedelta(hours=_HOURS[every] * by)
