"""From the model's input to scores: by CatBoost, or by its trees as arrays where they are proven to give the same."""
