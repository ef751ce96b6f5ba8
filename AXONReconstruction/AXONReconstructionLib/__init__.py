"""Implementation of the AXON Reconstruction module, in layers from the console API to the panel."""
