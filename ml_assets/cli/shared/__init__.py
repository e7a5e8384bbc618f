"""What several commands share: finding the product, running a job, progress, references, tables."""
