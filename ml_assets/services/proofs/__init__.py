"""Proofs about raw, dataset and features before anything is made from them. Dagster's checks show them (checks/)."""
