"""A training run: its folder, events, processes and stop requests."""
