{# Every value that is there lies between two limits, both allowed. #}
{% test between(model, column_name, minimum, maximum) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} < {{ minimum }} or {{ column_name }} > {{ maximum }} or isnan({{ column_name }}::double)
{% endtest %}
