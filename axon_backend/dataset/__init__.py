"""`axon prepare`: training data sets made and read."""
