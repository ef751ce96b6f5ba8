"""Metrics of a reconstructed volume against the true CT, in one registry.

Tables, reports, ``result.json`` and the Slicer panel are generated from the registry. To add a
metric, see :func:`register_metric`.
"""

from axon_backend.metrics.metric import Metric
from axon_backend.metrics.pair import VolumePair, body_mask
from axon_backend.metrics.registry import (
    compute_metrics,
    metric_names,
    register_metric,
    registered_metrics,
)

__all__ = [
    "Metric",
    "VolumePair",
    "body_mask",
    "compute_metrics",
    "metric_names",
    "register_metric",
    "registered_metrics",
]
