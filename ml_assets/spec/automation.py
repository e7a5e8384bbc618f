"""The sections of product.yaml about what is done by itself: deliveries taken, runs retried, models trained, inputs rebuilt."""

import re
from calendar import month_abbr, monthrange
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ml_assets.spec.base_section import Section, known_zone

_WEEKDAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_MONTHS = {name.lower(): number for number, name in enumerate(month_abbr) if name}
_CRON: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 7, _WEEKDAYS),
)
"""The allowed numbers of each field of a cron expression, and the names that stand for some of them."""
_SHORT = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_LEAP_YEAR = 2024


def _is_cron(cron: str) -> bool:
    """Whether it is a cron expression that comes some time: five fields, or a short form. The day may be `L`, the last of a
    month, and a weekday like `mon#1`, the first of its kind."""
    if cron.lower() in _SHORT:
        return True
    fields = cron.lower().split()
    if len(fields) != len(_CRON):
        return False
    fields[2] = "31" if fields[2] == "l" and fields[3] == "*" else fields[2]
    fields[4] = re.sub(r"(?<=[a-z\d])#[1-5](?=,|$)", "", fields[4])
    return all(map(_is_in, fields, _CRON)) and _ever_comes(fields[2], fields[3])


def _is_in(field: str, allowed: tuple[int, int, Mapping[str, int]]) -> bool:
    """Whether a field is a list of numbers, names, ranges and steps (`*`, `5`, `mon-fri`, `*/15`) within what is allowed."""
    low, high, names = allowed
    parts = [re.fullmatch(r"(?:\*|(\d+|[a-z]{3})(?:-(\d+|[a-z]{3}))?)(?:/([1-9]\d*))?", part) for part in field.split(",")]
    for part in parts:
        if part is None:
            return False
        ends = [names.get(end, int(end) if end.isdigit() else -1) for end in part.groups()[:2] if end]
        if len(ends) == 2 and part.group(2) == "sun":
            ends[1] = 7
        if not all(low <= end <= high for end in ends) or ends != sorted(ends):
            return False
    return True


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
    monitoring (`drift`), a realised metric that dropped (`loss`), outcomes of a partition that are complete (`outcomes`). None
    begins within `cool_down` hours of the last one, nor more than `at_most` in 30 days, nor one that would bring the models of 30
    days over `cpu_seconds`."""

    on: tuple[Literal["new_partition", "schedule", "code", "drift", "loss", "outcomes"], ...] = ("new_partition",)
    loss: LossSpec = LossSpec()
    cron: str | None = None
    timezone: str = "UTC"
    cool_down: float = Field(default=0.0, ge=0)
    at_most: int | None = Field(default=None, ge=0)
    cpu_seconds: float | None = Field(default=None, gt=0)

    @field_validator("cron")
    @classmethod
    def _is_a_schedule(cls, cron: str | None) -> str | None:
        if cron is not None and not _is_cron(cron):
            raise ValueError(
                f"'{cron}' is not a cron expression; write minute, hour, day, month and weekday, like '0 6 * * 1' or "
                f"'0 6 * * mon-fri', or {', '.join(_SHORT[:4])}, …"
            )
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
