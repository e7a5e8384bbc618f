"""The claims about a partition, in the order of the answers. Imports nothing, because definitions read it."""

CLAIMS = {
    "volume_plausible": "There are about as many rows as the partitions before it lead to expect.",
    "content_is_new": "It is not another partition's content again, and its rows do not repeat one another.",
    "label_rate_plausible": "The labels differ from earlier ones no more than labels do.",
    "relations_hold": "Columns go together as they did: none is swapped, in another unit or in another time zone.",
    "no_column_gives_label_away": "No column separates the label much better than it ever did.",
}
