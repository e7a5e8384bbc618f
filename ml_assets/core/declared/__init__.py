"""What keeps a declared product from running: how its files go together. Reads no data."""
