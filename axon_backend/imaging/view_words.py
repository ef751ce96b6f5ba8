"""Names of chest X-ray views as written by devices and people, in several languages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from axon_backend.imaging.capitals import capitals

_PA = {"PA", "DV", "POSTEROANTERIOR", "POSTEROANTERIORE", "DORSOVENTRAL"}
_AP = {"AP", "VD", "ANTEROPOSTERIOR", "ANTEROPOSTERIORE", "VENTRODORSAL"}
# Frontal, with unknown direction of the beam.
_FRONTAL = {"FRONTAL", "FRONTALE", "FACE", "FRENTE", "FRONT", "CORONAL"}
_LATERAL = {
    "LAT", "ML", "LM", "XTABLE", "XTAB", "CROSSTABLE", "SAGITTAL",
    "PROFIL", "PROFILE", "PROFILO", "PERFIL",  # French, Italian, Portuguese and Spanish
    "SEITLICH", "SEITL", "SEITE", "SEITENAUFNAHME", "SEITENBILD", "TRANSVERSAL",  # German
    "ZIJDELINGS", "DWARS",  # Dutch
    "SIDA", "SIDE", "SIDEBILLEDE", "SIDEBILDE", "SIVUKUVA",  # Scandinavian, Finnish
    "BOCZNE", "BOCZNA", "BOCNI", "BOCNY", "BOCNA", "BOCNE",  # Polish, Czech, Slovak, Croatian
    "BOKOVAYA", "YAN", "OLDALIRANYU",  # Russian, Turkish, Hungarian
}  # fmt: skip
_LEFT = {"L", "LT", "LEFT", "LI", "LINKS", "GAUCHE", "G", "SX", "SIN", "SINISTRA", "SINISTRO",
         "IZQ", "IZQUIERDA", "IZQUIERDO", "ESQUERDA", "ESQUERDO", "VANSTER", "LEWY"}  # fmt: skip
_RIGHT = {"R", "RT", "RIGHT", "RE", "RECHTS", "DROITE", "DROIT", "D", "DX", "DEST", "DESTRA",
          "DESTRO", "DER", "DERECHA", "DERECHO", "DIREITA", "DIREITO", "HOGER",
          "PRAWY"}  # fmt: skip
# Neither frontal nor lateral, or a lateral of the neck.
_NEITHER = re.compile(
    r"[LR][AP]O|[LR]LO|[LR]LD|.*OBL[IQ].*|OBL|.*SCHRAEG.*|.*SCHRAG.*|.*DECUB.*|SWIMMERS?|TANGENTIAL.*"
)
# Words that are appended to PA, AP or LAT without a space.
_AFTER = (
    "PORTABLE|PORT|MOBILE|BED|BEDSIDE|SUPINE|SITTING|SIT|SEMIERECT|ERECT|UPRIGHT|STANDING|CHEST|"
    "THORAX|TORAX|LIEGEND|STEHEND|SITZEND|AXIAL|LORDOTIC|GRID|VIEW"
)
_JOINED = re.compile(rf"(PA|AP)({_AFTER})")
# A word for a lateral with a side before it (LLAT, RTLAT, LEFTLATERAL) or after it (LATL).
_SIDED = re.compile(
    r"(L|LT|LEFT|R|RT|RIGHT)?(LAT(?:ERAL(?:E|IS|NE|NA|NI|EN)?|ERO)?)(L|LT|LEFT|R|RT|RIGHT)?"
    rf"({_AFTER})?"
)


@dataclass(frozen=True)
class ViewWords:
    """The view stated in a text.

    `kinds`: of ``pa``, ``ap``, ``frontal`` (one of the two), ``lateral``, ``neither`` (oblique,
    decubitus); several if the text is contradictory. `side`: ``left`` or ``right`` for the side at
    the detector, or None.
    """

    kinds: frozenset[str]
    side: str | None = None


def view_words(text: str, *, words_alone: bool = False) -> ViewWords:
    """The view named in a text: ViewPosition, the meaning of a code or a series description.

    `words_alone`: for free text, in which short codes such as LL may mean something else: only
    words that clearly name a view count.
    """
    upper = re.sub(r"\b([PALR])[.\-/ ]([PAL])\b\.?", r"\1\2", capitals(text))  # P.A., A-P, L.L.
    upper = re.sub(r"\b(POSTERO|ANTERO|DORSO|VENTRO)(?:[^A-Z]*)(?=[A-Z])", r"\1", upper)
    upper = re.sub(r"\bPOSTERIOR[^A-Z]+ANTERIOR\b", "PA", upper)
    upper = re.sub(r"\bANTERIOR[^A-Z]+POSTERIOR\b", "AP", upper)
    upper = re.sub(r"\b(X|CROSS)[^A-Z]?TABLE\b", "XTABLE", upper)
    kinds, sides = set(), set()
    for word in re.findall("[A-Z]+", upper):
        kind, side = _kind_of(word)
        if kind is not None and not (words_alone and word in ("LL", "RL", "ML", "LM", "DV", "VD")):
            kinds.add(kind)
        if side is not None:
            sides.add(side)
    if {"neither"} & kinds:
        kinds = {"neither"}
    if kinds - {"frontal"} <= {"pa", "ap"} and kinds != {"frontal"}:
        kinds -= {"frontal"}  # "frontal PA"
    return ViewWords(frozenset(kinds), sides.pop() if len(sides) == 1 else None)


def _kind_of(word: str) -> tuple[str | None, str | None]:
    """The kind of view and the side named by one word."""
    if joined := _JOINED.fullmatch(word):
        word = joined[1]
    if _NEITHER.fullmatch(word):
        return "neither", None
    if word in ("LL", "RL"):
        return "lateral", "left" if word == "LL" else "right"
    if word in _PA:
        return "pa", None
    if word in _AP:
        return "ap", None
    if word in _FRONTAL:
        return "frontal", None
    if word in _LATERAL:
        return "lateral", None
    if sided := _SIDED.fullmatch(word):
        side = sided[1] or sided[3]
        return "lateral", None if side is None else "left" if side.startswith("L") else "right"
    if word in _LEFT:
        return None, "left"
    if word in _RIGHT:
        return None, "right"
    return None, None
