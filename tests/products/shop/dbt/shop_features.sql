-- The model's input.
select id, placed_at, city, amount, items, hour(placed_at) as hour
from {{ ref('shop_requests') }}
