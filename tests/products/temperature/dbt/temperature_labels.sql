-- The answer: the mean of the day's hourly temperatures. Null when none was observed.
select requests.forecast_id, avg(weather.temp) as mean_temp
from {{ ref('temperature_requests') }} as requests
left join {{ source('dataset', 'weather') }} as weather
    on weather.origin = requests.origin and weather.time_hour::date = requests.day_begins_at::date
group by requests.forecast_id
