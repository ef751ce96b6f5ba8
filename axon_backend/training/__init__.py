"""`axon train`: one training loop for the objectives of every method."""
