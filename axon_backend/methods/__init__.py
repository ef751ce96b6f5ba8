"""AXON and the methods it is compared with, one folder each; ``registry`` finds them by name."""
