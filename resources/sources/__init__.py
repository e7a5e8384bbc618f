"""The places that declared sources of deliveries are in: databases, and files by their URL."""
