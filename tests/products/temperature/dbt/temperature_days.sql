-- What was observed at each airport on each day.
select
    origin,
    time_hour::date as day,
    avg(temp) as mean_temp,
    min(temp) as least_temp,
    max(temp) as greatest_temp,
    arg_max(temp, time_hour) as last_temp,
    avg(dewp) as mean_dewp,
    avg(wind_speed) as mean_wind_speed,
    avg(pressure) as mean_pressure
from {{ source('dataset', 'weather') }}
group by all
