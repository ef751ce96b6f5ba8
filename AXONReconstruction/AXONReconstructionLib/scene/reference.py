"""Registration reference: a CT of the scene, or the atlas of a bundle."""

from __future__ import annotations

import threading

from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.volumes import ijkToWorld, requireVolumeNode
from AXONReconstructionLib.setup import backend

# Voxels along the longest side of the volume used for interactive DRRs: 3 to 5 mm, so that the ribs
# remain visible and rendering takes a tenth of the time of the full volume.
FAST_VOXELS = 96


class Reference:
    """A CT or an atlas with its thorax frame and its DRRs, each computed on first use.

    Created on the main thread, used on the worker thread.

    Args:
        bundle: folder of the model that provides the atlas; None or "" is the shipped one.
        arrays: copied by `nodes.ctArrays`; None is the atlas.
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
                    self._ct = backend.load("inference.model_loading").atlas_ct(bundle)
                else:
                    self._ct = nodes.ctFromArrays(*self._arrays)
                    self._arrays = None
            return self._ct

    @property
    def frame(self):
        """The backend's `ThoraxFrame`: around the lungs of the CT, or the atlas's, centred at 0."""
        with self._lock:
            if self._frame is None:
                if self.isAtlas:
                    self._frame = nodes.atlasFrame(self._bundle)
                else:
                    self._frame = backend.load("imaging.frame").find_thorax_frame(self.ct)
            return self._frame

    def drr(self, view, pose=None, size=256, fast=False):
        """(size, size) float32 line integrals of a view; bright = more attenuation.

        Args:
            pose: the backend's `Pose`; None is the canonical one.
            fast: render a downsampled volume, for interactive updates.
        """
        geometry = (pose or backend.load("physics.pose").Pose()).geometry(self.frame, view)
        drr = backend.load("physics.drr")
        if fast:
            return drr.preview_drr(self._downsampled(), geometry, size).numpy()
        return drr.render_drr(self.ct, geometry, size).numpy()

    def _downsampled(self):
        with self._lock:
            if self._coarse is None:
                attenuation = backend.load("physics.attenuation").AttenuationVolume
                self._coarse = attenuation.from_ct(self.ct).downsampled(FAST_VOXELS)
            return self._coarse


class References:
    """Caches the most recent CT and atlas, so that sliders remain responsive."""

    def __init__(self) -> None:
        self._kept: dict = {}

    def of(self, ctNode=None, bundle=None) -> Reference:
        """The reference of a CT node, or of the bundle's atlas; the node's voxels are copied."""
        key: tuple
        if ctNode is None:
            key, slot = (str(bundle or ""),), "atlas"
        else:
            requireVolumeNode(ctNode, "ctNode")
            image = ctNode.GetImageData()
            place = ijkToWorld(ctNode).tobytes()
            key = (ctNode.GetID(), image.GetMTime() if image is not None else 0, place)
            slot = "ct"
        if slot not in self._kept or self._kept[slot][0] != key:
            self._kept.pop(slot, None)  # free it before copying: a CT may use half the memory
            arrays = None if ctNode is None else nodes.ctArrays(ctNode)
            self._kept[slot] = (key, Reference(bundle, arrays))
        return self._kept[slot][1]

    def clear(self) -> None:
        """Clear the cache."""
        self._kept.clear()
