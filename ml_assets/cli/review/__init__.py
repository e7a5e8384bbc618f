"""Commands that judge a change."""
