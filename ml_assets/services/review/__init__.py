"""What a change of code, products and libraries means, against the commit that it is to be merged into."""
