"""The sections of product.yaml about what is done by itself: deliveries taken, runs retried, models trained, inputs rebuilt."""

import re
from calendar import monthrange
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base_section import Section
from ml_assets.spec.time_zones import known_zone

_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""What each field of a cron expression may be."""
_LEAP_YEAR = 2024


def _is_in(field: str, allowed: tuple[int, int]) -> bool:
    """Whether a field is a list of numbers, ranges and steps (`*`, `5`, `1-5`, `*/15`) within what is allowed."""
    parts = [re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part) for part in field.split(",")]
    ranges = [[int(number) for number in part.groups()[:2] if number] for part in parts if part]
    return (
        all(parts)
        and all(allowed[0] <= number <= allowed[1] for numbers in ranges for number in numbers)
        and ranges == [*map(sorted, ranges)]
    )


def _ever_comes(day: str, month: str) -> bool:
    """Whether one of the months has one of the days, where both are plain numbers."""
    if not re.fullmatch(r"[\d,]+", day) or not re.fullmatch(r"[\d,]+", month):
        return True
    return any(int(d) <= monthrange(_LEAP_YEAR, int(m))[1] for d in day.split(",") for m in month.split(","))


class LandingSpec(Section):
    """Sensors leave a delivered file alone until it has been still for `settle` seconds. A partition that is not there `late`
    hours after its end is told about; None: never."""

    settle: float = Field(default=10.0, ge=0)
    late: float | None = Field(default=None, ge=0)


class RetriesSpec(Section):
    """The number of times that sensors run a delivery again whose run broke, and the seconds before the first; doubled each
    time."""

    most: int = Field(default=3, ge=0)
    wait: float = Field(default=60.0, ge=0)


class LossSpec(Section):
    """The realised metric asks for a training when it dropped too far in `fails` of the last `of` partitions with outcomes."""

    fails: int = Field(default=2, ge=1)
    of: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if self.fails > self.of:
            raise ValueError(f"{self.fails} of {self.of} partitions can never fail; `fails` is at most `of`")
        return self


class RetrainSpec(Section):
    """The triggers of a training: each new partition, a schedule (`cron`, five fields, in `timezone`), other code, an alarm of
    monitoring (`drift`), a realised metric that dropped (`loss`). None begins within `cool_down` hours of the last one, nor
    more than `at_most` in 30 days, nor one that would bring the models of 30 days over `cpu_seconds`."""

    on: tuple[Literal["new_partition", "schedule", "code", "drift", "loss"], ...] = ("new_partition",)
    loss: LossSpec = LossSpec()
    cron: str | None = None
    timezone: str = "UTC"
    cool_down: float = Field(default=0.0, ge=0)
    at_most: int | None = Field(default=None, ge=0)
    cpu_seconds: float | None = Field(default=None, gt=0)

    @field_validator("cron")
    @classmethod
    def _is_a_schedule(cls, cron: str | None) -> str | None:
        fields = (cron or "").split()
        is_whole = len(fields) == len(_CRON) and all(map(_is_in, fields, _CRON)) and _ever_comes(fields[2], fields[3])
        if cron is not None and not is_whole:
            raise ValueError(f"'{cron}' is not a cron expression; write minute, hour, day, month and weekday, like '0 6 * * 1'")
        return cron

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, timezone: str) -> str:
        return known_zone(timezone)

    @model_validator(mode="after")
    def _schedule_has_a_cron(self) -> Self:
        if ("schedule" in self.on) != (self.cron is not None):
            raise ValueError("`on: [schedule]` and `cron` go together; write cron: '0 6 * * 1' for Mondays at six")
        return self


class RebuildSpec(Section):
    """Above `most` stale snapshots a run says first how many it rebuilds, and what that is estimated to cost."""

    most: int = Field(default=20, ge=0)
