"""Runs on other machines: Celery hands them, through a broker, to workers that have a home of their own."""
