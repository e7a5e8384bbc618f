"""What declared sources of deliveries are asked: databases, and files by their URL."""
