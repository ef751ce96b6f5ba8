"""X-ray tags that are broken, wrong or written in another way: each has one right reading."""

import gzip
import struct

import numpy as np
import pydicom
import pytest
from imaging_synthetic import (
    DX_FOR_PRESENTATION,
    as_integers,
    chest_image,
    save,
    write_xray,
    xray_dataset,
)
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.uid import JPEGExtended12Bit
from scipy import fft

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_elsewhere, is_no_chest_xray
from axon_backend.imaging.dicom_grey import log_linear_grey
from axon_backend.imaging.dicom_tags import orientation_of, other_body_part, view_of
from axon_backend.imaging.dicom_values import stored_values
from axon_backend.imaging.dicom_xray import read_dicom_xray
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view_words import view_words

IMAGE = chest_image()
STORED = as_integers(IMAGE)
RAMP = np.arange(4096)


def read(**tags):
    """Grey and notes of the stored chest, through a header on disk's values."""
    return log_linear_grey(xray_dataset(STORED, **tags), STORED)


def table(descriptor, data, kind="OW"):
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, kind, data)
    return Sequence([item])


def words(values):
    return np.asarray(values, np.uint16).tobytes()


@pytest.mark.parametrize("bits", [8, 10, 11, 12, 13, 14, 15, 16])
@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("kind", ["OW", "US"])
def test_tables_of_every_depth(bits, keyword, kind):
    """A table that squares: the grey is the square, whatever the depth."""
    entries = np.rint((RAMP / 4095) ** 2 * (2**bits - 1)).astype(int)
    data = words(entries) if kind == "OW" else entries.tolist()
    grey, _ = read(**{keyword: table([4096, 0, bits], data, kind)})
    square = (STORED / 4095) ** 2
    if keyword == "ModalityLUTSequence":  # stretched to the image's own range afterwards
        square = (square - square.min()) / np.ptp(square)
    assert np.abs(grey - square).max() < 2.0 / 2**bits


@pytest.mark.parametrize(
    "broken",
    [
        table([4096, 0, 8], (RAMP // 16).astype(np.uint8).tobytes()),  # packed into bytes
        table([4096, 0, 8], words(RAMP // 16)),
        table([4096, 0, 8], words(RAMP)),  # 12 bits, although 8 are stated
        table([4096, 0], words(RAMP)),  # no number of bits
        table([4096, 0, 16], words(RAMP * 16)),
        table([0, 0, 16], words(np.arange(65536) * 16 % 65536)),  # 0 stands for 65536
    ],
)
def test_tables_that_are_repaired(broken):
    grey, notes = read(VOILUTSequence=broken)
    assert np.abs(grey - STORED / 4095).max() < 1 / 200
    assert "display grey (VOI LUT) is taken" in notes[0]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (table([4096, 0, 12], words(RAMP[:1000])), "states 4096 entries but contains fewer"),
        (table([4096, 0, 12], words(np.full(4096, 4095))), "all its entries are equal"),
        (table([4096], words(RAMP)), "does not have three numbers"),
        (table([4096, 60000, 12], words(RAMP)), "it blanks the image"),
        (table([4096, 0, 12], b""), "but contains fewer"),
        (Sequence([Dataset()]), "does not have three numbers"),
    ],
)
def test_tables_that_are_left_out(broken, why):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    grey, notes = read(VOILUTSequence=broken, **window)
    assert np.allclose(grey, read(**window)[0])
    assert any("the VOI LUT was left out" in note and why in note for note in notes)
    if "blanks" not in why:
        grey, notes = read(ModalityLUTSequence=broken, **window)
        assert np.allclose(grey, read(**window)[0])
        assert any("the modality LUT was left out" in note for note in notes)


def test_the_modality_table_of_fluoroscopy_is_not_for_display():
    """It leads from log values back to linear exposure (PS3.3 C.8.7.1.1.2)."""
    to_linear = table([4096, 0, 16], words(65535 * (1 - np.exp(-RAMP / 500.0))))
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "Modality": "XA"}
    log = {"PixelIntensityRelationship": "LOG", "ModalityLUTSequence": to_linear}
    assert np.allclose(read(**tags, **log)[0], read(**tags)[0])
    assert not np.allclose(read(**log)[0], read()[0], atol=0.05)  # a CR's is applied


def raw(tag, kind, value):
    return pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(tag), kind, len(value), value, 0, False, True
    )


@pytest.mark.parametrize(
    ("slope", "intercept", "said"),
    [
        (b"", b"", None),
        (None, b"-1024 ", None),
        (b"2 ", None, None),
        (b"0 ", b"0 ", "RescaleSlope is 0: 1 is used"),
        (b"x ", b"0 ", "RescaleSlope is not a number: 1 is used"),
        (b"1 ", b"none", "RescaleIntercept is not a number: 0 is used"),
        (b"nan ", b"0 ", "RescaleSlope is not a number: 1 is used"),
    ],
)
def test_a_rescale_that_is_empty_or_broken(slope, intercept, said):
    dataset = xray_dataset(STORED)
    for tag, value in ((0x00281053, slope), (0x00281052, intercept)):
        if value is not None:
            dataset[tag] = raw(tag, "DS", value)
    grey, notes = log_linear_grey(dataset, STORED)
    assert np.allclose(grey, read()[0], atol=1e-6)  # a linear rescale does not show without window
    assert said is None or said in notes


@pytest.mark.parametrize("shown", [{"PresentationIntentType": "FOR PRESENTATION"}, {}])
@pytest.mark.parametrize("sign", [1, -1, None])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_linear_is_the_past_of_an_image_for_presentation(photometric, sign, shown):
    """All six combinations look as they are to be displayed."""
    stored = 4095 - STORED if photometric == "MONOCHROME1" else STORED
    dataset = xray_dataset(
        stored,
        SOPClassUID=DX_FOR_PRESENTATION,
        PhotometricInterpretation=photometric,
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=sign,
        **shown,
    )
    grey, notes = log_linear_grey(dataset, stored)
    span = (STORED - STORED.min()) / np.ptp(STORED)
    assert np.abs(grey - span).max() < 1e-3
    assert notes[0].startswith("display grey")


@pytest.mark.parametrize("shift", [1, 4])
def test_grey_in_the_high_bits(tmp_path, shift):
    """BitsStored 12, HighBit 15: the value is above `shift` foreign bits."""
    dirty = (STORED << shift) | (np.arange(STORED.size).reshape(STORED.shape) % 2**shift)
    tags = {"BitsAllocated": 16, "HighBit": 11 + shift}
    path = write_xray(tmp_path / "x.dcm", dirty.astype(np.uint16), 12, **tags)
    path = save(pydicom.dcmread(path), path)
    assert np.array_equal(stored_values(pydicom.dcmread(path))[0], STORED)


def test_a_high_bit_that_lies_is_not_believed(tmp_path):
    path = write_xray(tmp_path / "x.dcm", STORED, 12, HighBit=15)
    assert np.array_equal(stored_values(pydicom.dcmread(path))[0], STORED)


def test_bits_stored_that_are_too_few_are_not_believed(tmp_path):
    """12-bit grey said to have 8 bits would wrap around; an overlay bit does not make grey."""
    path = write_xray(tmp_path / "x.dcm", STORED, 8, BitsAllocated=16, HighBit=7)
    assert np.array_equal(stored_values(pydicom.dcmread(path))[0], STORED)
    overlay = STORED.copy()
    overlay[:80] |= 0x4000
    path = write_xray(tmp_path / "y.dcm", overlay, 12)
    assert np.array_equal(stored_values(pydicom.dcmread(path))[0], STORED)


@pytest.mark.parametrize("signed", [False, True])
def test_a_pixel_representation_that_lies_is_not_believed(tmp_path, signed):
    """Values around the end of the other range, where a wrong sign makes jumps."""
    values = STORED.astype(np.int32) * 8 - (16384 if signed else 0) + (0 if signed else 16384)
    kind = np.int16 if signed else np.uint16
    for said in (0, 1):
        stored = values.astype(kind)
        path = write_xray(tmp_path / "x.dcm", stored, 16, PixelRepresentation=said)
        found, notes = stored_values(pydicom.dcmread(path))
        assert np.array_equal(found, values)
        assert bool(notes) is (said != signed)


def test_float_pixels_are_read(tmp_path):
    dataset = xray_dataset(STORED)
    dataset.BitsAllocated, dataset.FloatPixelData = 32, STORED.astype("<f4").tobytes()
    del dataset.PixelData
    found = read_radiograph(save(dataset, tmp_path / "x.dcm"), invert=False, flip=False)
    assert np.corrcoef(found.pixels.ravel(), STORED.ravel())[0, 1] > 0.999


def jpeg_12_bit(pixels: np.ndarray, step: int) -> bytes:
    """A sequential DCT stream of 12 bits (ITU T.81 process 4), every coefficient quantised to
    ``step``; Huffman codes of one length each."""
    zigzag = sorted(
        range(64),
        key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8),
    )
    symbols = [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 15))]
    code = {symbol: f"{k:08b}" for k, symbol in enumerate(symbols)}
    bits: list[str] = []

    def number(value: int) -> str:
        size = int(abs(value)).bit_length()
        return f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""

    last = 0
    for top in range(0, pixels.shape[0], 8):
        for left in range(0, pixels.shape[1], 8):
            block = pixels[top : top + 8, left : left + 8].astype(float) - 2048
            flat = np.rint(fft.dctn(block, norm="ortho") / step).astype(int).ravel()[zigzag]
            difference, last = int(flat[0]) - last, int(flat[0])
            bits += [f"{int(abs(difference)).bit_length():05b}", number(difference)]
            run = 0
            for value in map(int, flat[1:]):
                if value == 0:
                    run += 1
                    continue
                bits += [code[0xF0]] * (run // 16)
                bits += [code[run % 16 << 4 | abs(value).bit_length()], number(value)]
                run = 0
            if run:
                bits.append(code[0x00])
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    dc = bytes([0, 0, 0, 0, 16] + [0] * 11) + bytes(range(16))
    ac = bytes([0] * 7 + [len(symbols)] + [0] * 8) + bytes(symbols)
    rows, cols = pixels.shape
    return b"".join(
        [
            b"\xff\xd8\xff\xdb" + struct.pack(">HB", 67, 0) + bytes([step] * 64),
            b"\xff\xc1" + struct.pack(">HBHHBBBB", 11, 12, rows, cols, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">HB", 3 + len(dc), 0x00) + dc,
            b"\xff\xc4" + struct.pack(">HB", 3 + len(ac), 0x10) + ac,
            b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 0, 63, 0),
            scan + b"\xff\xd9",
        ]
    )


def test_lossy_jpeg_of_12_bits(tmp_path):
    dataset = xray_dataset(STORED)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    dataset.PixelData = encapsulate([jpeg_12_bit(STORED, 4)])
    dataset["PixelData"].is_undefined_length = True
    found = stored_values(pydicom.dcmread(save(dataset, tmp_path / "x.dcm")))[0].astype(int)
    # Rounding 64 coefficients to steps of 4 makes an error of standard deviation 4 / sqrt(12).
    assert np.std(found - STORED) < 1.5 * 4 / 12**0.5
    assert np.abs(found - STORED.astype(int)).max() < 16


@pytest.mark.parametrize("name", ["IM0001", "a.dicom", "film.dc3", "film.png"])
@pytest.mark.parametrize("implicit", [True, False])
def test_dicom_is_known_by_its_content(tmp_path, name, implicit):
    dataset = xray_dataset(STORED)
    del dataset.file_meta
    pydicom.dcmwrite(tmp_path / name, dataset, implicit_vr=implicit, little_endian=True)
    pixels = read_radiograph(tmp_path / name).pixels
    assert np.corrcoef(pixels.ravel(), IMAGE.ravel())[0, 1] > 0.999


def test_packed_files_and_indices_say_what_to_do(tmp_path):
    path = write_xray(tmp_path / "x.dcm", STORED)
    (tmp_path / "x.dcm.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(AxonInputError, match="compressed file. Unpack it first, then give the X"):
        read_radiograph(tmp_path / "x.dcm.gz")
    item = pydicom.dcmread(path)
    item.PatientID, item.StudyInstanceUID, item.StudyDate = "x", "1.2.3", "20200101"
    item.StudyTime, item.StudyID, item.PatientName = "120000", "1", "x"
    item.SeriesNumber, item.InstanceNumber = 1, 1
    disc = FileSet()
    disc.add(item)
    disc.write(tmp_path / "disc")
    with pytest.raises(AxonInputError, match="index of a DICOM disc.*Give the X-ray's own file"):
        read_radiograph(tmp_path / "disc" / "DICOMDIR")


VIEWS = {
    "pa": "PA|P.A.|P-A|P/A|postero-anterior|POSTEROANTERIOR|Posterior-Anterior|PAPORTABLE|PA ERECT|"
    "frontal PA|dorso-ventral|PA CHEST",
    "ap": "AP|A.P.|A-P|antero-posterior|APPORTABLE|AP AXIAL|AP SUPINE|AP LORDOTIC|ap liegend|"
    "APSUPINE",
    "frontal": "FRONTAL|FACE|de frente|frontale",
    "lateral": "LATERAL|LAT|LATERALE|LATERO|PROFIL|PERFIL|PROFILO|seitlich|SEITL.|XTABLE|X-TABLE|"
    "CROSS TABLE LATERAL|zijdelings|boczne|medio-lateral|LATERALIS",
    "left": "LL|L.L.|LLAT|LLATERAL|LEFT LATERAL|LTLAT|L LAT|LAT L|latérale gauche|"
    "lateral izquierda|profil gauche|LATL|Left-Lateral",
    "right": "RL|RLAT|RLATERAL|RIGHT LATERAL|RTLAT|R LAT|lateral derecha|profil droit|"
    "latérale droite",
    "neither": "RAO|LPO|LLD|PA LLD|LATERAL DECUBITUS|OBLIQUE|Oblik oblique|oblicua|SWIMMERS|schräg|"
    "left posterior oblique|LAO|RLO",
}


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, v in VIEWS.items() for t in v.split("|")])
def test_view_words(kind, text):
    found = view_words(text)
    side = kind if kind in ("left", "right") else None
    assert found.kinds == {"lateral" if side else kind}
    assert kind == "neither" or found.side == side


@pytest.mark.parametrize(
    "text", ["CHEST", "PA AND LATERAL", "PA/LAT", "THORAX", "XYZ", "", "LATEX"]
)
def test_words_that_name_no_single_view(text):
    assert len(view_words(text).kinds) != 1


@pytest.mark.parametrize(
    ("value", "scheme", "meaning", "view"),
    [
        ("399348003", "SCT", "", "ap"),
        ("R-10206", "SRT", "", "ap"),
        ("272479007", "SCT", "", "pa"),
        ("399198007", "SCT", "right lateral", "rl"),
        ("399173006", "SCT", "", "ll"),
        ("X", "99LOCAL", "Thorax p.a.", "pa"),
    ],
)
def test_view_codes(value, scheme, meaning, view):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    dataset = xray_dataset(STORED, ViewPosition=None, ViewCodeSequence=[item])
    assert view_of(dataset, "x")[0].value == view


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        {"PatientOrientation": ["L", "P"]},
        {"PatientOrientation": ["R", "A"]},
        {"PatientOrientation": ["L", "L"]},
        {"PatientOrientation": ["", ""]},
    ],
)
def test_an_axial_orientation_says_nothing_on_a_projection(tmp_path, tags):
    path = write_xray(tmp_path / "x.dcm", STORED, ViewPosition=None, **tags)
    found = read_dicom_xray(path)
    assert found.view is None and found.orientation is None
    stated = orientation_of(xray_dataset(STORED, **tags, ViewPosition=None))
    assert stated is None


# PS3.16 annex L, and other languages.
ELSEWHERE = """ANKLE BLADDER BRAIN BUTTOCK CALCANEUS CALF CEREBELLUM CSPINE CERVIX CHEEK COCCYX
CORNEA EAR ELBOW EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT FOREARM HAND HEAD HEADNECK HIP HUMERUS
IAC ILIUM JAW KNEE LEG LOWERLEG LSPINE LSSPINE MAXILLA MOUTH NOSE ORBIT PAROTID PATELLA PELVIS PENIS
PHARYNX PROSTATE RECTUM SACRUM SCALP SCLERA SCROTUM SKULL SSPINE SUBMANDIBULAR TESTIS THIGH THUMB
TOE TONGUE UPPERARM UTERUS VAGINA VULVA WRIST ZYGOMA TMJOINT OVARY L-SPINE Knie SCHÄDEL genou
rodilla ginocchio Crâne"""
BESIDE = """ABDOMEN ABDOMENPELVIS ADRENAL AXILLA BREAST CLAVICLE COLON DUODENUM GALLBLADDER ILEUM
JEJUNUM KIDNEY LARYNX LIVER NECK PANCREAS SCAPULA SHOULDER SPLEEN STOMACH THYROID URETER ACJOINT
SCJOINT Schulter Épaule"""
CHESTS = """CHEST CHESTABDOMEN CHESTABDPELVIS NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV HEART LUNG
MEDIASTINUM THORAX TORAX RIB STERNUM TSPINE SPINE WHOLEBODY BRONCHUS TRACHEA UNKNOWN"""


def test_body_parts_of_the_standard():
    for part in (*ELSEWHERE.split(), "Fuß", "Schädel", "Hüfte"):
        assert is_elsewhere(part) and is_no_chest_xray(part), part
    for part in BESIDE.split():
        assert not is_elsewhere(part) and is_no_chest_xray(part), part
    for part in (*CHESTS.split(), "Thoracic spine", "Chest and Abdomen", "Entire body"):
        assert not is_elsewhere(part) and not is_no_chest_xray(part), part


@pytest.mark.parametrize(
    ("tags", "region", "found"),
    [
        ({"BodyPartExamined": "KNEE"}, None, "KNEE"),
        ({"BodyPartExamined": ""}, ("14975008", "SCT", "Forearm"), "Forearm"),
        ({"BodyPartExamined": ""}, ("T-D8500", "SRT", ""), "Forearm"),
        ({"BodyPartExamined": "ABDOMEN"}, None, "ABDOMEN"),
        ({"BodyPartExamined": "ABDOMEN", "SeriesDescription": "Chest PA"}, None, None),
        ({"BodyPartExamined": "HAND", "StudyDescription": "Chest and hand"}, None, "HAND"),
        ({"BodyPartExamined": "SHOULDER"}, ("51185008", "SCT", "Chest"), None),
        ({"BodyPartExamined": "CHEST"}, None, None),
        ({"BodyPartExamined": "TSPINE"}, None, None),
    ],
)
def test_other_body_parts_by_words_and_codes(tags, region, found):
    dataset = xray_dataset(STORED, **tags)
    if region is not None:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = region
        dataset.AnatomicRegionSequence = [item]
    assert other_body_part(dataset) == found


def test_a_neighbour_of_the_chest_gives_way_to_a_stated_view(tmp_path):
    path = write_xray(tmp_path / "x.dcm", STORED, BodyPartExamined="ABDOMEN")
    with pytest.raises(AxonInputError, match="Give a chest X-ray, or state its view if the tag"):
        read_dicom_xray(path)
    assert any("ABDOMEN" in warning for warning in read_dicom_xray(path, True).warnings)
    path = write_xray(tmp_path / "y.dcm", STORED, BodyPartExamined="KNEE")
    with pytest.raises(AxonInputError, match="Give a chest X-ray.$"):
        read_dicom_xray(path, True)
