-- One row per departure scheduled in the partition: what is known when the flight is scheduled. These are the fields of a request.
-- The observed weather of the scheduled hour is used in place of the forecast that a client would send.
select
    concat(flights.carrier, flights.flight, ' ', flights.origin, ' ', strftime(flights.time_hour + to_minutes(flights.minute), '%Y-%m-%dT%H:%M')) as flight_id,
    flights.time_hour + to_minutes(flights.minute) as scheduled_at,
    flights.carrier,
    flights.origin,
    flights.dest,
    flights.tailnum,
    flights.distance,
    flights.sched_dep_time,
    flights.sched_arr_time,
    weather.temp as forecast_temp,
    weather.dewp as forecast_dewp,
    weather.humid as forecast_humid,
    weather.wind_dir::double as forecast_wind_dir,
    weather.wind_speed as forecast_wind_speed,
    weather.precip as forecast_precip,
    weather.pressure as forecast_pressure,
    weather.visib as forecast_visib
from {{ source('dataset', 'flights') }} as flights
cross join {{ source('dataset', 'partition') }} as part
left join {{ source('dataset', 'weather') }} as weather
    on weather.origin = flights.origin and weather.time_hour = flights.time_hour
where flights.time_hour >= part.starts_at and flights.time_hour < part.ends_at
