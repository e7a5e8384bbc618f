-- Planes by tail number; the three names of one maker are one.
select
    tailnum,
    year as plane_year,
    type as plane_type,
    split_part(manufacturer, ' ', 1) as manufacturer,
    seats
from {{ source('reference', 'planes') }}
