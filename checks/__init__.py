"""The claims: asset checks that are green when true. What they show is recorded as evidence, which later stages require."""
