"""Deliveries that are taken from the declared sources of a product."""
