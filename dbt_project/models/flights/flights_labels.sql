-- The answer: 30 minutes late or more at the gate. Null when the flight never arrived there (cancelled, diverted).
select
    concat(flights.carrier, flights.flight, ' ', flights.origin, ' ', strftime(flights.time_hour + to_minutes(flights.minute), '%Y-%m-%dT%H:%M')) as flight_id,
    (flights.arr_delay >= 30)::integer as is_late
from {{ source('dataset', 'flights') }} as flights
cross join {{ source('dataset', 'partition') }} as part
where flights.time_hour >= part.starts_at and flights.time_hour < part.ends_at
