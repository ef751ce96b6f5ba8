"""Training data: pairs, augmentation, samples, batches, validation cases."""
