"""The `model` section of product.yaml: which parameters a task may have, and what is refused of them."""
