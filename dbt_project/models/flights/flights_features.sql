-- The model's input. Reads requests and lookups only: this compiled SQL also serves, on one request at a time.
with requests as (
    select
        *,
        -- New York's day in standard time: it never begins before the UTC day of the same date.
        (scheduled_at - interval 5 hour)::date as day,
        sched_dep_time // 100 * 60 + sched_dep_time % 100 as dep_minutes,
        sched_arr_time // 100 * 60 + sched_arr_time % 100 as arr_minutes
    from {{ ref('flights_requests') }}
)

select
    requests.flight_id,
    requests.scheduled_at,
    requests.dep_minutes,
    requests.arr_minutes,
    requests.sched_dep_time // 100 as dep_hour,
    -- both clocks are local: a night flight gets its day back, and the time zone is the destination's
    (requests.arr_minutes - requests.dep_minutes + 1800) % 1440 - 360 as clock_minutes,
    isodow(requests.day) as weekday,
    dayofyear(requests.day) as day_of_year,
    requests.carrier,
    requests.origin,
    requests.dest,
    requests.distance,
    planes.plane_year,
    planes.seats,
    coalesce(planes.plane_type, 'unknown') as plane_type,
    coalesce(planes.manufacturer, 'unknown') as manufacturer,
    requests.forecast_temp,
    requests.forecast_dewp,
    requests.forecast_humid,
    requests.forecast_wind_dir,
    requests.forecast_wind_speed,
    requests.forecast_precip,
    requests.forecast_pressure,
    requests.forecast_visib,
    late_rates.carrier_late_rate,
    late_rates.origin_late_rate,
    late_rates.route_late_rate
from requests
left join {{ ref('flights_planes') }} as planes on planes.tailnum = requests.tailnum
left join {{ ref('flights_late_rates') }} as late_rates
    on late_rates.carrier = requests.carrier
    and late_rates.origin = requests.origin
    and late_rates.dest = requests.dest
    and late_rates.day = requests.day
