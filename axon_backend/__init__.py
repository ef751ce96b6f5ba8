"""AXON: a 3-D CT volume from one or two chest X-rays. Research use only, not for diagnosis."""

__version__ = "0.1.0"

DISCLAIMER = "Research use only, not for diagnosis"
