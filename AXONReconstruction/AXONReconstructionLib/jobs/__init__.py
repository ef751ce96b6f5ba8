"""Background jobs: a worker thread and delivery of its results on the main thread."""
