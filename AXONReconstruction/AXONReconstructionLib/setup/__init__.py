"""The environment: access to axon_backend, dependencies, hardware, installation."""
