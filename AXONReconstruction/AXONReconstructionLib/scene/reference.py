"""What X-rays are registered to: a CT of the scene, or the average chest of a bundle."""

from __future__ import annotations

import threading

from AXONReconstructionLib.console import arguments
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.volumes import ijkToWorld
from AXONReconstructionLib.setup import backend

# Voxels along the longest side of the volume that a moving DRR is rendered from: 3 to 5 mm, so that
# ribs stay visible and an image takes a tenth of the time of the full volume.
FAST_VOXELS = 96


class Reference:
    """A CT or an atlas with its thorax frame and its DRRs, each made when first asked for.

    Made on the main thread, used on the worker's.

    Args:
        bundle: folder of the model whose atlas it is; None or "" is the shipped one.
        arrays: what `nodes.ctArrays` copied; None is the atlas.
    """

    def __init__(self, bundle, arrays=None) -> None:
        self.isAtlas = arrays is None
        self._bundle = bundle or None
        self._arrays = arrays
        self._ct = None
        self._frame = None
        self._coarse = None
        self._lock = threading.RLock()

    @property
    def ct(self):
        """The backend's `CTVolume`."""
        with self._lock:
            if self._ct is None:
                if self.isAtlas:
                    bundle = backend.load("bundle").load_bundle(self._bundle)
                    self._ct = backend.load("inference.model_cache").atlas_ct(bundle)
                else:
                    self._ct = nodes.ctFromArrays(*self._arrays)
                    self._arrays = None
            return self._ct

    @property
    def frame(self):
        """The backend's `ThoraxFrame`: around the CT's lungs, or the atlas's around 0."""
        with self._lock:
            if self._frame is None:
                if self.isAtlas:
                    self._frame = nodes.averageFrame(self._bundle)
                else:
                    self._frame = backend.load("imaging.frame").find_thorax_frame(self.ct)
            return self._frame

    def drr(self, view, pose=None, size=256, fast=False):
        """(size, size) float32 line integrals of a view, bright = more attenuation.

        Args:
            pose: the backend's `Pose`; None is the CT as it lies, at the canonical distance.
            fast: from a downsampled volume, for images in motion.
        """
        geometry = (pose or backend.load("physics.pose").Pose()).geometry(self.frame, view)
        volume = self._downsampled() if fast else self.ct
        return backend.load("physics.drr").render_drr(volume, geometry, size).numpy()

    def _downsampled(self):
        with self._lock:
            if self._coarse is None:
                attenuation = backend.load("physics.attenuation").AttenuationVolume
                self._coarse = attenuation.from_ct(self.ct).downsampled(FAST_VOXELS)
            return self._coarse


class References:
    """Keeps the last CT and the last atlas that were asked for, so that sliders stay quick."""

    def __init__(self) -> None:
        self._kept: dict = {}

    def of(self, ctNode=None, bundle=None) -> Reference:
        """The reference of a CT node, or of the bundle's atlas; the node's voxels are copied."""
        if ctNode is None:
            key, slot = str(bundle or ""), "atlas"
        else:
            arguments.volumeNode(ctNode, "ctNode")
            image = ctNode.GetImageData()
            place = ijkToWorld(ctNode).tobytes()
            key = (ctNode.GetID(), image.GetMTime() if image is not None else 0, place)
            slot = "ct"
        if slot not in self._kept or self._kept[slot][0] != key:
            self._kept.pop(slot, None)  # before the next copy: a CT may fill half the memory
            arrays = None if ctNode is None else nodes.ctArrays(ctNode)
            self._kept[slot] = (key, Reference(bundle, arrays))
        return self._kept[slot][1]

    def clear(self) -> None:
        """Forget everything kept."""
        self._kept.clear()
