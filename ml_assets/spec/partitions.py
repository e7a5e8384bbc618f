"""The sections `partitions`, `split` and `window` of product.yaml: how data arrives, and what is trained and tested on."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ml_assets.errors import MlAssetsError
from ml_assets.spec.base_section import Section, known_zone

Every = Literal["hour", "day", "week", "month", "quarter", "year", "delivery"]
KEY_FORMATS: Mapping[Every, str] = {
    "hour": "%Y-%m-%dT%H",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m",
    "quarter": "%Y-%m",
    "year": "%Y",
}
"""How the keys of slices of time are written: when they start. A delivery of a static table has a number."""
QUARTER_MONTHS = (1, 4, 7, 10)
DELIVERY_DIGITS = 4
FIRST_DELIVERY = "0001"
_GOOD_KEYS: Mapping[Every, str] = {
    "hour": "2013-01-01T05",
    "day": "2013-01-01",
    "week": "2013-01-07 (a Monday)",
    "month": "2013-01",
    "quarter": "2013-04, its first month",
    "year": "2013",
    "delivery": f"{FIRST_DELIVERY} for the first, 0002 for the next",
}


class PartitionKeyError(MlAssetsError):
    """A text that names no partition of the product."""


def parse_key(every: Every, key: str) -> datetime:
    """The start of the partition that a key names, as its calendar's clocks show it (naive)."""
    try:
        start = datetime.strptime(key, KEY_FORMATS[every])
    except ValueError:
        start = None
    if start is None or start.strftime(KEY_FORMATS[every]) != key or not _is_start(start, every):
        raise PartitionKeyError(_no_key(every, key))
    return start


def _is_start(moment: datetime, every: Every) -> bool:
    """Whether a week begins on a Monday, and a quarter in one of its first months."""
    if every == "quarter":
        return moment.month in QUARTER_MONTHS
    return every != "week" or moment.weekday() == 0


def delivery_number(key: str) -> int:
    """The number of the delivery that a key names, from 1 on."""
    if len(key) != DELIVERY_DIGITS or not (key.isascii() and key.isdigit()) or int(key) < 1:
        raise PartitionKeyError(_no_key("delivery", key))
    return int(key)


def _no_key(every: Every, key: str) -> str:
    return f"'{key}' is not the key of a partition by {every}; a good one is {_GOOD_KEYS[every]}"


class PartitionSpec(Section):
    """The slices of time that data arrives in, as keys from `start` up to but not including `end`, which begin at midnight in
    `timezone` (hours: in UTC); or the deliveries of a static table, numbered from 0001 on, each in the place of the last."""

    later: ClassVar[frozenset[str]] = frozenset({"timezone"})
    every: Every
    start: str = ""
    end: str | None = None
    timezone: str = "UTC"

    @field_validator("start", "end", mode="before")
    @classmethod
    def _year_is_text(cls, key: object) -> object:
        """A year without quotes is a number to YAML."""
        return str(key) if isinstance(key, int) and not isinstance(key, bool) else key

    @field_validator("start", "end")
    @classmethod
    def _is_a_key(cls, key: str | None, info: ValidationInfo) -> str | None:
        every = info.data.get("every")
        if every == "delivery":
            raise ValueError(f"deliveries are numbered from {FIRST_DELIVERY} on; leave it out")
        if key is not None and every:
            try:
                parse_key(every, key)
            except PartitionKeyError as error:
                raise ValueError(str(error)) from None
        return key

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str, info: ValidationInfo) -> str:
        every = info.data.get("every")
        if every == "hour" and timezone != "UTC":
            raise ValueError("hours are those of UTC: where clocks go back, 01:00 comes twice; leave it out")
        if every == "delivery":
            raise ValueError("a delivery has no time; leave it out")
        return known_zone(timezone)

    @model_validator(mode="after")
    def _begins_and_ends(self) -> Self:
        if not self.is_static and not self.start:
            raise ValueError(f"start is missing: the key of the first {self.every}, such as {_GOOD_KEYS[self.every]}")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} (exclusive) must be after start {self.start}")
        return self

    @property
    def is_static(self) -> bool:
        """Whether each delivery is the whole table."""
        return self.every == "delivery"

    @property
    def first(self) -> str:
        """The key of the first partition."""
        return FIRST_DELIVERY if self.is_static else self.start


class SplitSpec(Section):
    """The division of a static table's rows by their key: a share is trained on from the first delivery on; each reserve
    fold is the test window of one delivery, and trained on after it. `group`: the part of the key whose rows stay together.
    `new_fold`: how many new keys (or groups) with a known outcome open a further fold once these are used up; None: as many as
    one of them has on average."""

    later: ClassVar[frozenset[str]] = frozenset({"train", "folds", "group", "salt", "new_fold"})
    train: float = Field(default=0.5, gt=0, lt=1)
    folds: int = Field(default=5, ge=1, le=1000)
    group: str = ""
    salt: str = ""
    new_fold: int | None = Field(default=None, ge=1)


class WindowSpec(Section):
    """The numbers of partitions that a candidate is trained on and tested on."""

    train: int = Field(ge=1)
    test: int = Field(ge=1)
    minimum: int = Field(ge=1)

    @model_validator(mode="after")
    def _minimum_fits(self) -> Self:
        if self.minimum > self.train:
            raise ValueError(f"minimum {self.minimum} is more than train {self.train}; allowed: 1 to {self.train}")
        return self


ONE_DELIVERY = WindowSpec(train=1, test=1, minimum=1)
"""The window of a static table: its split divides the rows of one delivery."""
