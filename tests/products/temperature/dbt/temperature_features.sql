-- The model's input: what was observed on the three days before the one asked about.
with requests as (
    select *, day_begins_at::date as day from {{ ref('temperature_requests') }}
)

select
    requests.forecast_id,
    requests.day_begins_at,
    requests.origin,
    dayofyear(requests.day) as day_of_year,
    one.mean_temp as mean_temp_1,
    one.least_temp as least_temp_1,
    one.greatest_temp as greatest_temp_1,
    one.last_temp as last_temp_1,
    one.mean_dewp as mean_dewp_1,
    one.mean_wind_speed as mean_wind_speed_1,
    one.mean_pressure as mean_pressure_1,
    two.mean_temp as mean_temp_2,
    three.mean_temp as mean_temp_3
from requests
left join {{ ref('temperature_days') }} as one on one.origin = requests.origin and one.day = requests.day - 1
left join {{ ref('temperature_days') }} as two on two.origin = requests.origin and two.day = requests.day - 2
left join {{ ref('temperature_days') }} as three on three.origin = requests.origin and three.day = requests.day - 3
