-- Shares of late arrivals in the seven days before each day, for every carrier and route of the schedule.
-- An arrival counts on the UTC day of its scheduled departure. The day of a request is New York's, which begins five hours later: by
-- then the longest flight of an earlier UTC day has landed or is known to be late. The days go on for two months past the partition
-- with the rates of its last seven days: so long a release may serve, and be compared, before another takes its place.
with departures as (
    select carrier, origin, dest, time_hour::date as departed_day, arr_delay >= 30 as is_late
    from {{ source('dataset', 'flights') }}
),

sums as (
    select carrier, origin, dest, departed_day, count(is_late) as arrivals, count(*) filter (where is_late) as late
    from departures
    group by grouping sets ((carrier, departed_day), (origin, departed_day), (origin, dest, departed_day))
),

days as (
    select unnest(generate_series(starts_at - interval 1 day, ends_at + interval 2 month, interval 1 day))::date as day,
        least(day, ends_at::date) - 7 as first_day
    from {{ source('dataset', 'partition') }}
),

weeks as (
    select
        sums.carrier,
        sums.origin,
        sums.dest,
        days.day,
        max(sums.departed_day) as last_day,
        sum(sums.late) / nullif(sum(sums.arrivals), 0) as late_rate
    from days
    inner join sums on sums.departed_day < days.day and sums.departed_day >= days.first_day
    group by all
),

schedule as (select distinct carrier, origin, dest from departures)

select
    schedule.carrier,
    schedule.origin,
    schedule.dest,
    days.day,
    greatest(by_carrier.last_day, by_origin.last_day, by_route.last_day) as last_day,
    by_carrier.late_rate as carrier_late_rate,
    by_origin.late_rate as origin_late_rate,
    by_route.late_rate as route_late_rate
from schedule
cross join days
left join weeks as by_carrier on by_carrier.carrier = schedule.carrier and by_carrier.day = days.day
left join weeks as by_origin
    on by_origin.origin = schedule.origin and by_origin.dest is null and by_origin.day = days.day
left join weeks as by_route
    on by_route.origin = schedule.origin and by_route.dest = schedule.dest and by_route.day = days.day
