"""A run: its folder, events, processes, and what it may be asked."""
