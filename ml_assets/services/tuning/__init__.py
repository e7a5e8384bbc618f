"""`ml-assets tune`: a search of model parameters on past windows that no candidate can be asked about any more."""
