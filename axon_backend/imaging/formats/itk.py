"""NRRD and MetaImage, by ITK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.imaging.formats.format import ImageFormat, starts_with
from axon_backend.imaging.header_check import check_text_header
from axon_backend.util.chatter import no_chatter

if TYPE_CHECKING:
    from SimpleITK import ImageFileReader

    from axon_backend.imaging.raw_volume import RawVolume


class ItkFormat:
    """The readers of one of ITK's formats.

    Args:
        io: ITK's name of the format's reader; without it, ITK would choose by extension.
    """

    def __init__(self, io: str) -> None:
        self._io = io

    def read_volume(self, path: Path) -> RawVolume:
        """Read the voxels as stored."""
        import numpy as np
        import SimpleITK as sitk

        from axon_backend.imaging.raw_volume import RawVolume

        reader = self._reader(path)
        with no_chatter():
            image = reader.Execute()
        used = min(image.GetDimension(), 3)
        direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:used, :used]
        affine = np.eye(4)
        affine[:used, :used] = direction * np.array(image.GetSpacing()[:used])
        affine[:used, 3] = image.GetOrigin()[:used]
        voxels = sitk.GetArrayFromImage(image)
        return RawVolume(voxels, affine, image.GetNumberOfComponentsPerPixel())

    def read_size(self, path: Path) -> tuple[int, ...]:
        """Voxels along each axis, from the header."""
        reader = self._reader(path)
        with no_chatter():
            reader.ReadImageInformation()
        return tuple(reader.GetSize())

    def _reader(self, path: Path) -> ImageFileReader:
        import SimpleITK as sitk

        check_text_header(path)  # ITK allocates what a header states, and some crash it
        reader = sitk.ImageFileReader()
        reader.SetImageIO(self._io)
        reader.SetFileName(str(path))
        return reader


_nrrd, _metaimage = ItkFormat("NrrdImageIO"), ItkFormat("MetaImageIO")
NRRD = ImageFormat(
    "NRRD",
    (".nrrd", ".nhdr"),
    read_volume=_nrrd.read_volume,
    recognise=starts_with(b"NRRD"),
    read_size=_nrrd.read_size,
)
METAIMAGE = ImageFormat(
    "MetaImage",
    (".mha", ".mhd"),
    read_volume=_metaimage.read_volume,
    recognise=starts_with(b"ObjectType", b"NDims"),
    read_size=_metaimage.read_size,
)
