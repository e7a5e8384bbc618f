-- One row per airport for the day of the partition: these are the fields of a request.
select
    concat(origins.origin, ' ', part.key) as forecast_id,
    part.starts_at as day_begins_at,
    origins.origin
from (select distinct origin from {{ source('dataset', 'weather') }}) as origins
cross join {{ source('dataset', 'partition') }} as part
