"""What a day of weather must look like, what a client asks with, and what the model sees."""
# ruff: noqa: RUF012 - pandera reads lists and dicts off Config

from datetime import datetime

import pandera.polars as pa

ORIGINS = ["EWR", "JFK", "LGA"]


class Weather(pa.DataFrameModel):
    """The weather observed at an airport in one hour: nothing of it is known before."""

    origin: str = pa.Field(isin=ORIGINS)
    year: int = pa.Field(ge=2013, le=2100)
    month: int = pa.Field(ge=1, le=12)
    day: int = pa.Field(ge=1, le=31)
    hour: int = pa.Field(ge=0, le=23)
    temp: float = pa.Field(nullable=True, ge=-40, le=130, metadata={"known": "after", "max_missing": 0.1})
    dewp: float = pa.Field(nullable=True, ge=-60, le=100, metadata={"known": "after", "max_missing": 0.1})
    humid: float = pa.Field(nullable=True, ge=0, le=100, metadata={"known": "after", "max_missing": 0.1})
    wind_dir: float = pa.Field(nullable=True, ge=0, le=360, metadata={"known": "after", "max_missing": 0.2})
    wind_speed: float = pa.Field(nullable=True, ge=0, le=200, metadata={"known": "after", "max_missing": 0.1})
    wind_gust: float = pa.Field(nullable=True, ge=0, le=250, metadata={"known": "after"})
    precip: float = pa.Field(ge=0, le=10, metadata={"known": "after"})
    pressure: float = pa.Field(nullable=True, ge=900, le=1100, metadata={"known": "after"})
    visib: float = pa.Field(ge=0, le=10, metadata={"known": "after"})
    time_hour: datetime

    class Config:
        strict = True
        unique = ["origin", "time_hour"]
        metadata = {"min_rows": 48, "max_quarantined": 0.05}


class Request(pa.DataFrameModel):
    """A day (its beginning, UTC) at an airport. What the weather was before it, the release knows."""

    forecast_id: str
    day_begins_at: datetime
    origin: str = pa.Field(isin=ORIGINS)

    class Config:
        strict = True
        unique = ["forecast_id"]


class Features(pa.DataFrameModel):
    """The model's input: key, time, then its columns in the order that the model knows them."""

    forecast_id: str
    day_begins_at: datetime
    origin: str = pa.Field(isin=ORIGINS)
    day_of_year: int = pa.Field(ge=1, le=366)
    mean_temp_1: float = pa.Field(nullable=True, ge=-40, le=130)
    least_temp_1: float = pa.Field(nullable=True, ge=-40, le=130)
    greatest_temp_1: float = pa.Field(nullable=True, ge=-40, le=130)
    last_temp_1: float = pa.Field(nullable=True, ge=-40, le=130)
    mean_dewp_1: float = pa.Field(nullable=True)
    mean_wind_speed_1: float = pa.Field(nullable=True, ge=0)
    mean_pressure_1: float = pa.Field(nullable=True)
    mean_temp_2: float = pa.Field(nullable=True, ge=-40, le=130)
    mean_temp_3: float = pa.Field(nullable=True, ge=-40, le=130)

    class Config:
        strict = True
        unique = ["forecast_id"]


TABLES = {"weather": Weather}
