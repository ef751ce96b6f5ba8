"""When a registration is called good, fair or poor: every limit, and where it comes from.

A poor registration is refused: ``axon register`` and ``axon reconstruct`` fail (the latter unless
a person accepted the placement, or with ``--allow-poor``), the preparation of training data leaves
the X-ray out (its ``gate``). The score is the mean of NCC and
gradient NCC after ``local_contrast``; the offset is how far a short search by borders moves the
placed picture, in parts of the field's width.

``SAME_PATIENT``, an X-ray against its patient's own CT: from ``Testing/benchmarks/quality.py``, 16
films of another physics of eight train and validation patients, front and side. Errors:

================================ ======= ======= ============
case                             good    fair    poor
================================ ======= ======= ============
right (0.1 to 1.2 mm off)        14      2       0
2 mm off by hand                 13      3       0
4 mm off by hand                 4       11      1
6 mm off by hand                 0       16      0
8 mm off by hand                 0       15      1
another patient's film           2       12      2
the other view's film            0       2       14
CT turned by 15 degrees          10      6       0
================================ ======= ======= ============

So no score tells a wrong patient or a turned one for certain; millimetres are told. Real X-rays of
a CT's own patient agree less than films that were computed: the limits lie below what those reach.

``OTHER_PATIENT``, an X-ray against the atlas: from 42 clinical frontal X-rays registered (affine)
to the mean of twelve other patients, each looked at: 41 lie with lungs on lungs (two of them
loosely) and score 0.384 to 0.706, one, an opaque supine chest, fails and scores 0.19. Noise of
1/50 of the width scores up to 0.35; a few large blobs can reach 0.5 by chance. Borders of another
chest lie elsewhere anyway: of 41 such X-rays 39 have an offset of at most 0.03.
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
