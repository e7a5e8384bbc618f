"""The claims: asset checks that are green when true. Their results are recorded as evidence, which later stages require."""
