"""What is released, whether it may serve, and who served when. Decisions from what is recorded."""
