-- One row per order: these are the fields of a request.
select id, placed_at, city, amount, items
from {{ source('dataset', 'orders') }}
