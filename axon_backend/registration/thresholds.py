"""The limits of good, fair and poor registrations, and how they were determined.

A poor registration is refused: ``axon register`` and ``axon reconstruct`` fail (the latter unless
the placement was accepted by hand, or with ``--allow-poor``), and the preparation of training data
leaves the X-ray out (its ``gate``). The score is the mean of NCC and gradient NCC after
``local_contrast``; the offset is how far a short local search on edges moves the registered image,
as a fraction of the field's width.

``SAME_PATIENT``, an X-ray against the patient's own CT: from ``Testing/benchmarks/quality.py``, 18
radiographs simulated with an independent physics model, of nine train and validation patients,
frontal and lateral. Errors:

================================ ======= ======= ============
case                             good    fair    poor
================================ ======= ======= ============
correct (0.1 to 0.9 mm off)      17      1       0
2 mm off by hand                 17      1       0
4 mm off by hand                 5       13      0
6 mm off by hand                 0       18      0
8 mm off by hand                 0       18      0
another patient's radiograph     4       11      3
radiograph of the other view     0       1       17
CT rotated by 15 degrees         11      6       1
================================ ======= ======= ============

So the scores detect millimetres, but no score reliably detects a wrong or a rotated patient. Real
X-rays of the CT's own patient agree less well than simulated ones, so the limits are below what
those reach.

``OTHER_PATIENT``, an X-ray against the atlas: from 41 clinical frontal X-rays registered (affine)
to the atlas and inspected: in 40 the lungs coincide (in a few of them loosely), with scores of
0.386 to 0.706; one, an opaque supine chest, fails with 0.30. Noise with a correlation length of
1/50 of the width scores up to 0.35; a few large blobs can reach 0.5 by chance. Edges of another
chest never coincide exactly, but all of these X-rays have an offset of at most 0.03.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """A score of ``good`` and an offset of at most ``offset`` are good; below ``fair`` is poor."""

    good: float
    fair: float
    offset: float


SAME_PATIENT = Limits(good=0.72, fair=0.52, offset=0.012)
OTHER_PATIENT = Limits(good=0.50, fair=0.38, offset=0.03)
