"""Whether the free-text body part of a DICOM header names the chest, another part, or neither."""

from __future__ import annotations

import re

_CHEST = re.compile(
    r"CHEST|THORA|LUNG|PULMO|TORAX|POUMON|LUNGE|HEART|CARDIAC|CXR|\bTAP\b|\bCAP\b", re.IGNORECASE
)
# Named parts that never show a whole chest. Words that may include one (ABDOMEN, NECK, SPINE,
# BREAST, WHOLEBODY, TSPINE, SHOULDER ...) are left out: there the image decides.
_ELSEWHERE = re.compile(
    r"\b(HAND|FINGER|THUMB|WRIST|FOREARM|ELBOW|HUMERUS|ARM|FOOT|FEET|TOE|ANKLE|CALCANEUS|TIBIA|"
    r"FIBULA|KNEE|PATELLA|FEMUR|LEG|THIGH|CALF|HIP|HIPS|PELVIS|SACRUM|COCCYX|SKULL|HEAD|BRAIN|FACE|"
    r"NOSE|ORBIT|ORBITS|SINUS|SINUSES|JAW|MANDIBLE|MAXILLA|TMJ|TEETH|TOOTH|DENTAL|CSPINE|"
    r"LSPINE|LSSPINE|CERVICAL|LUMBAR|EXTREMITY|LOWER ?LIMB|UPPER ?LIMB|BLADDER|PROSTATE|UTERUS)\b",
    re.IGNORECASE,
)


def is_chest(*words: str) -> bool:
    """Whether any of the texts names the chest."""
    return any(_CHEST.search(word) for word in words)


def is_elsewhere(body_part: str) -> bool:
    """Whether the body part is certainly not the chest (HAND, SKULL, ...)."""
    text = body_part.replace("_", " ").replace("-", " ")
    return bool(_ELSEWHERE.search(text)) and not is_chest(text)
