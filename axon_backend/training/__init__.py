"""`axon train`: one loop for the objectives of every method."""
