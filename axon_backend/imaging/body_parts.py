"""Whether the body part named in a DICOM header is the chest, another part, or neither.

The words are those of PS3.16 annex L (defined terms of BodyPartExamined), the code meanings of CID
4031, and the terms of devices in other languages.
"""

from __future__ import annotations

import re

from axon_backend.imaging.capitals import capitals

_CHEST = re.compile(
    r"CHEST|THORA(?!CIC ?SPINE)|LUNG|PULMO|TORAX|POUMON|LUNGE|HEART|CARDIAC|CXR|MEDIASTIN|BRONCHUS|"
    r"\bTAP\b|\bCAP\b|BRUSTKORB"
)
# Named parts that never show a whole chest. Words that may include one (ABDOMEN, NECK, SPINE,
# BREAST, WHOLEBODY, TSPINE, SHOULDER ...) are left out: for these, the image decides.
_ELSEWHERE = re.compile(
    r"\b(HANDS?|FINGERS?|THUMB|WRIST|CARPUS|SCAPHOID|FOREARM|ELBOW|HUMERUS|UPPER ?ARM|ARM|RADIUS|"
    r"ULNA|FOOT|FEET|TOES?|ANKLE|CALCANEUS|TARSAL|SESAMOIDS?|TIBIA|FIBULA|LOWER ?LEG|KNEES?|"
    r"PATELLA|FEMUR|LEGS?|THIGH|CALF|HIPS?|PELVIS|PELVIC|PELVISLOWEXTREMT|ILIUM|SACRUM|COCCYX|"
    r"BUTTOCK|SACROILIAC|SI ?JOINT|EXTREMITY|EXTREMITIES|(LOWER|UPPER) ?(LIMB|EXTREMITY)|"
    r"SKULL|HEAD|HEAD ?NECK|BRAIN|CEREBELLUM|CRANIUM|SCALP|FACE|FACIAL|CHEEK|NOSE|NASAL|ORBITS?|"
    r"ORBITAL|EYES?|EYELID|CORNEA|SCLERA|EAR|IAC|AUDITORY|MASTOIDS?|OPTIC|OPTICCANAL|SELLA|ZYGOMA|"
    r"SINUS|SINUSES|PNS|PARANASAL|JAW|MANDIBLE|MAXILLA|TM ?JOINT|TMJ|TEMPOROMANDIBULAR|MOUTH|"
    r"TONGUE|TEETH|TOOTH|DENTAL|PAROTID|SUBMANDIBULAR|CAROTID|CIRCLEOFWILLIS|PHARYNX|"
    r"[CLS] ?SPINE|LS ?SPINE|CERVICAL|LUMBAR|LUMBO|SACRO|BLADDER|URETHRA|PROSTATE|UTERUS|CERVIX|"
    r"OVARY|OVARIES|VAGINA|VULVA|PENIS|SCROTUM|TESTIS|TESTES|ANUS|RECTUM|"
    r"KNIE|SCHADEL|BECKEN|HUFTE|FUSS|ELLENBOGEN|HANDGELENK|SPRUNGGELENK|OBERSCHENKEL|"
    r"UNTERSCHENKEL|OBERARM|UNTERARM|HALSWIRBELSAULE|HWS|LWS|LENDENWIRBELSAULE|"
    r"GENOU|CRANE|BASSIN|HANCHE|PIED|COUDE|POIGNET|CHEVILLE|CUISSE|JAMBE|AVANT BRAS|"
    r"RODILLA|CRANEO|CADERA|MANO|CODO|MUNECA|TOBILLO|MUSLO|PIERNA|"
    r"GINOCCHIO|CRANIO|BACINO|ANCA|PIEDE|GOMITO|POLSO|CAVIGLIA|JOELHO|QUADRIL)\b"
)
# A CT of these may include the chest; an X-ray of them does not.
_BESIDE = re.compile(
    r"\b(NECK|LARYNX|THYROID|SHOULDERS?|SCAPULA|CLAVICLE|ACROMIOCLAVICULAR|AC ?JOINT|"
    r"STERNOCLAVICULAR|SC ?JOINT|AXILLA|BREASTS?|MAMMA|ABDOMEN|ABDOMEN ?PELVIS|ABDOMINAL|KUB|LIVER|"
    r"BILIARY|BILE ?DUCT|GALLBLADDER|PANCREAS|PANCREATIC|SPLEEN|KIDNEYS?|ADRENAL|RENAL|URINARY|"
    r"URETER|COLON|INTESTINE|BOWEL|DUODENUM|JEJUNUM|ILEUM|STOMACH|"
    r"SCHULTER|EPAULE|HOMBRO|SPALLA|OMBRO)\b"
)


def is_chest(*words: str) -> bool:
    """Whether any of the strings names the chest."""
    return any(_CHEST.search(_plain(word)) for word in words)


def is_elsewhere(body_part: str) -> bool:
    """Whether the body part is certainly not the chest (HAND, SKULL, ...)."""
    return bool(_ELSEWHERE.search(_plain(body_part))) and not is_chest(body_part)


def is_no_chest_xray(body_part: str) -> bool:
    """Whether an X-ray of the body part is certainly not a chest X-ray. Unlike for a CT, this
    includes the chest's neighbours, such as the abdomen or a shoulder."""
    beside = bool(_BESIDE.search(_plain(body_part))) and not is_chest(body_part)
    return beside or is_elsewhere(body_part)


def _plain(text: str) -> str:
    """Capital letters without accents; separators as spaces."""
    return re.sub(r"[_\-/,]+", " ", capitals(text))
