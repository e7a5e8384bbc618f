{# The column is strictly before the other one, wherever it is there. #}
{% test before(model, column_name, other) %}
select {{ column_name }}, {{ other }}
from {{ model }}
where {{ column_name }} >= {{ other }}
{% endtest %}
