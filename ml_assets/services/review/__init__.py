"""The effects of a change of code, products and libraries, against the commit that it is to be merged into."""
