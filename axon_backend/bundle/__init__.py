"""Weights on disk: a MONAI bundle folder with safetensors, checksums, atlas and model card.

bundle = load_bundle()                        # the shipped bundle, verified
network.load_state_dict(bundle.state_dict(bundle.networks[0]))
hu, size_mm = bundle.atlas()

``library`` manages the bundles on this computer: list, import, delete.
"""

from axon_backend.bundle.card import model_card
from axon_backend.bundle.metadata import bundle_metadata, metadata_schema_path
from axon_backend.bundle.read import Bundle, load_bundle
from axon_backend.bundle.verify import verify_bundle
from axon_backend.bundle.write import seal_bundle, write_bundle

__all__ = [
    "Bundle",
    "bundle_metadata",
    "load_bundle",
    "metadata_schema_path",
    "model_card",
    "seal_bundle",
    "verify_bundle",
    "write_bundle",
]
