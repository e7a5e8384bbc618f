"""What is proven of raw, dataset and features before anything is made from them. Dagster's checks show it (checks/)."""
