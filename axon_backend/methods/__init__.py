"""AXON and the methods it is compared with: one folder each, found by name in ``registry``."""
