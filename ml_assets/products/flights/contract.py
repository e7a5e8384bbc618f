"""The contract of a month of New York flights, the request of a client, and the input of the model."""
# ruff: noqa: RUF012 - pandera reads lists and dicts off Config

from datetime import datetime

import pandera.polars as pa

ORIGINS = ["EWR", "JFK", "LGA"]
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]


class Flights(pa.DataFrameModel):
    """One departure as scheduled, and how it went. A cancelled one has no outcomes, a diverted one no arrival."""

    year: int = pa.Field(ge=2013, le=2100)
    month: int = pa.Field(ge=1, le=12)
    day: int = pa.Field(ge=1, le=31)
    dep_time: int = pa.Field(nullable=True, ge=1, le=2400, metadata={"known": "after", "max_missing": 0.1})
    sched_dep_time: int = pa.Field(ge=0, le=2359)
    dep_delay: int = pa.Field(nullable=True, ge=-120, le=2880, metadata={"known": "after", "max_missing": 0.1})
    arr_time: int = pa.Field(nullable=True, ge=1, le=2400, metadata={"known": "after", "max_missing": 0.1})
    sched_arr_time: int = pa.Field(ge=0, le=2359)
    arr_delay: int = pa.Field(nullable=True, ge=-180, le=2880, metadata={"known": "after", "max_missing": 0.1})
    carrier: str = pa.Field(isin=CARRIERS)
    flight: int = pa.Field(ge=1, le=9999)
    tailnum: str = pa.Field(nullable=True, str_matches="^[A-Z0-9]{3,6}$", metadata={"max_missing": 0.05})
    origin: str = pa.Field(isin=ORIGINS)
    dest: str = pa.Field(str_matches="^[A-Z0-9]{3}$")
    air_time: int = pa.Field(nullable=True, ge=5, le=1200, metadata={"known": "after", "max_missing": 0.1})
    distance: int = pa.Field(ge=10, le=6000)
    hour: int = pa.Field(ge=0, le=23)
    minute: int = pa.Field(ge=0, le=59)
    time_hour: datetime

    class Config:
        strict = True
        unique = ["time_hour", "carrier", "flight", "origin"]
        metadata = {"min_rows": 10_000, "max_quarantined": 0.001}


class Weather(pa.DataFrameModel):
    """The weather observed at an airport in one hour; degrees Fahrenheit, miles an hour, inches, millibars, miles."""

    origin: str = pa.Field(isin=ORIGINS)
    year: int = pa.Field(ge=2013, le=2100)
    month: int = pa.Field(ge=1, le=12)
    day: int = pa.Field(ge=1, le=31)
    hour: int = pa.Field(ge=0, le=23)
    temp: float = pa.Field(nullable=True, ge=-40, le=130, metadata={"max_missing": 0.02})
    dewp: float = pa.Field(nullable=True, ge=-60, le=100, metadata={"max_missing": 0.02})
    humid: float = pa.Field(nullable=True, ge=0, le=100, metadata={"max_missing": 0.02})
    wind_dir: float = pa.Field(nullable=True, ge=0, le=360, metadata={"max_missing": 0.1})
    wind_speed: float = pa.Field(nullable=True, ge=0, le=200, metadata={"max_missing": 0.02})
    wind_gust: float = pa.Field(nullable=True, ge=0, le=250)
    precip: float = pa.Field(ge=0, le=10)
    pressure: float = pa.Field(nullable=True, ge=900, le=1100, metadata={"max_missing": 0.25})
    visib: float = pa.Field(ge=0, le=10)
    time_hour: datetime

    class Config:
        strict = True
        unique = ["origin", "time_hour"]
        # 2013 has one impossible row: 1048 miles an hour at Newark in February
        metadata = {"min_rows": 1_500, "max_quarantined": 0.005}


class Planes(pa.DataFrameModel):
    """The register of planes."""

    tailnum: str = pa.Field(str_matches="^[A-Z0-9]{3,6}$")
    year: int = pa.Field(nullable=True, ge=1930, le=2100, metadata={"max_missing": 0.1})
    type: str = pa.Field(isin=["Fixed wing multi engine", "Fixed wing single engine", "Rotorcraft"])
    manufacturer: str
    model: str
    engines: int = pa.Field(ge=1, le=8)
    seats: int = pa.Field(ge=1, le=900)
    speed: int = pa.Field(nullable=True, ge=10, le=1500)
    engine: str

    class Config:
        strict = True
        unique = ["tailnum"]
        metadata = {"min_rows": 1_000, "max_quarantined": 0.001}


class Airports(pa.DataFrameModel):
    """The airports of the United States."""

    faa: str = pa.Field(str_matches="^[A-Z0-9]{3}$")
    name: str
    lat: float = pa.Field(ge=-90, le=90)
    lon: float = pa.Field(ge=-180, le=180)
    alt: int = pa.Field(ge=-1500, le=20_000)
    tz: int = pa.Field(ge=-12, le=14)
    dst: str = pa.Field(isin=["A", "U", "N"])
    tzone: str = pa.Field(nullable=True, metadata={"max_missing": 0.05})

    class Config:
        strict = True
        unique = ["faa"]
        metadata = {"min_rows": 500, "max_quarantined": 0.001}


class Airlines(pa.DataFrameModel):
    """The carriers' names."""

    carrier: str = pa.Field(isin=CARRIERS)
    name: str

    class Config:
        strict = True
        unique = ["carrier"]
        metadata = {"min_rows": 10, "max_quarantined": 0.0}


class Request(pa.DataFrameModel):
    """A scheduled flight with the weather forecast for its hour, each null where there is none.

    `flight_id` is the caller's name of the flight; the path's own is like "UA1545 EWR 2013-01-01T10:15".
    `scheduled_at` is UTC, the two times of day are local as in a timetable (517 is 5:17).
    """

    flight_id: str
    scheduled_at: datetime
    carrier: str = pa.Field(isin=CARRIERS)
    origin: str = pa.Field(isin=ORIGINS)
    dest: str
    tailnum: str = pa.Field(nullable=True)
    distance: int = pa.Field(ge=10, le=6000)
    sched_dep_time: int = pa.Field(ge=0, le=2359)
    sched_arr_time: int = pa.Field(ge=0, le=2359)
    forecast_temp: float = pa.Field(nullable=True, ge=-40, le=130)
    forecast_dewp: float = pa.Field(nullable=True, ge=-60, le=100)
    forecast_humid: float = pa.Field(nullable=True, ge=0, le=100)
    forecast_wind_dir: float = pa.Field(nullable=True, ge=0, le=360)
    forecast_wind_speed: float = pa.Field(nullable=True, ge=0, le=200)
    forecast_precip: float = pa.Field(nullable=True, ge=0, le=10)
    forecast_pressure: float = pa.Field(nullable=True, ge=900, le=1100)
    forecast_visib: float = pa.Field(nullable=True, ge=0, le=10)

    class Config:
        strict = True
        unique = ["flight_id"]


class Features(pa.DataFrameModel):
    """The model's input: key, time, then its columns in the order that the model knows them."""

    flight_id: str
    scheduled_at: datetime
    dep_minutes: int = pa.Field(ge=0, lt=1440)
    arr_minutes: int = pa.Field(ge=0, lt=1440)
    dep_hour: int = pa.Field(ge=0, le=23)
    clock_minutes: int = pa.Field(ge=-360, lt=1080)
    weekday: int = pa.Field(ge=1, le=7)
    day_of_year: int = pa.Field(ge=1, le=366)
    carrier: str = pa.Field(isin=CARRIERS)
    origin: str = pa.Field(isin=ORIGINS)
    dest: str
    distance: int = pa.Field(ge=10, le=6000)
    plane_year: int = pa.Field(nullable=True, ge=1930, le=2100)
    seats: int = pa.Field(nullable=True, ge=1, le=900)
    plane_type: str
    manufacturer: str
    forecast_temp: float = pa.Field(nullable=True)
    forecast_dewp: float = pa.Field(nullable=True)
    forecast_humid: float = pa.Field(nullable=True)
    forecast_wind_dir: float = pa.Field(nullable=True)
    forecast_wind_speed: float = pa.Field(nullable=True)
    forecast_precip: float = pa.Field(nullable=True)
    forecast_pressure: float = pa.Field(nullable=True)
    forecast_visib: float = pa.Field(nullable=True)
    carrier_late_rate: float = pa.Field(nullable=True, ge=0, le=1)
    origin_late_rate: float = pa.Field(nullable=True, ge=0, le=1)
    route_late_rate: float = pa.Field(nullable=True, ge=0, le=1)

    class Config:
        strict = True
        unique = ["flight_id"]


TABLES = {"flights": Flights, "weather": Weather, "planes": Planes, "airports": Airports, "airlines": Airlines}
