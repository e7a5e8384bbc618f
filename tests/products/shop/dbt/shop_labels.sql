-- The answer: whether the order came back. Null while nobody knows.
select id, came_back
from {{ source('dataset', 'orders') }}
