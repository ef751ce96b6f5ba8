"""What the Extensions Index of 3D Slicer checks when an extension is submitted.

The rules are those of its `scripts/check_description_files.py`, its schema 1.0.2 and the questions
of its review, read in August 2026. Whether the addresses answer cannot be tested here; that the
files they point to are in this repository can.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ENTRY = ROOT / "AXON.json"
CMAKE = (ROOT / "CMakeLists.txt").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "category": {"type": "string"},
        "scm_url": {"type": "string"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "dicom_support_rule": {"type": "string"},
        "build_subdirectory": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}
LIMIT_MB = 100
BRANCH = "main"  # what Slicer builds where the entry names no revision


@pytest.fixture(scope="module")
def entry() -> dict:
    return json.loads(ENTRY.read_text("utf-8"))


def in_cmake(name: str) -> str:
    """A variable of the top CMakeLists.txt, found as the index finds it: quoted."""
    match = re.search(rf'set\s*\({name}\s*"([^"]+)"[ ]*\)', CMAKE)
    assert match, f"{name} is not set as one quoted text"
    return match[1]


def test_entry_follows_the_schema(entry):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(entry, SCHEMA)
    assert re.search(
        r"slicer-extension-catalog-entry-schema-v1\.0\.[0-2]\.json#?$", entry["$schema"]
    )
    assert b"\r" not in ENTRY.read_bytes()


def test_entry_agrees_with_cmake(entry):
    assert ENTRY.stem == "AXON" and not ENTRY.stem.lower().startswith("slicer")
    assert re.search(r"^project\((\S+)\)", CMAKE, re.MULTILINE)[1] == ENTRY.stem
    depends = in_cmake("EXTENSION_DEPENDS")
    assert entry["build_dependencies"] == ([] if depends == "NA" else depends.split())
    assert entry["build_dependencies"] == ["PyTorch"]
    assert entry["category"] == "Tomographic Reconstruction"  # one of the index's fixed list


def test_repository_is_named_as_the_index_wants(entry):
    parts = urlsplit(entry["scm_url"])
    assert parts.scheme in ("https", "git")
    repository = parts.path.removesuffix(".git").strip("/")
    assert repository.split("/")[-1] == f"Slicer{ENTRY.stem}"
    assert urlsplit(in_cmake("EXTENSION_HOMEPAGE")).path.strip("/") == repository
    for address in (in_cmake("EXTENSION_ICONURL"), *in_cmake("EXTENSION_SCREENSHOTURLS").split()):
        assert address.startswith(f"https://raw.githubusercontent.com/{repository}/{BRANCH}/")


def test_revision_is_there_and_empty(entry):
    """Empty stands for `main`, and lets the index clone with depth 1. The key itself must stay:
    Slicer's build (`SlicerFunctionExtractExtensionDescription.cmake`) stops where it is missing,
    although the schema does not require it."""
    assert entry["scm_revision"] == ""


def test_icon_and_screenshots_are_images_of_this_repository(entry):
    start = f"/{urlsplit(entry['scm_url']).path.removesuffix('.git').strip('/')}/{BRANCH}/"
    icon = ROOT / urlsplit(in_cmake("EXTENSION_ICONURL")).path.removeprefix(start)
    with Image.open(icon) as image:
        assert image.format == "PNG" and image.size == (128, 128)
    screenshots = in_cmake("EXTENSION_SCREENSHOTURLS").split()
    assert screenshots
    for address in screenshots:
        with Image.open(ROOT / urlsplit(address).path.removeprefix(start)) as image:
            assert image.format in ("PNG", "JPEG") and min(image.size) >= 200


def test_icon_is_legible_at_24_pixels():
    """Dark lungs on a light chest: the image's middle keeps its contrast when it is small."""
    with Image.open(ROOT / "Resources/Icons/AXON.png") as image:
        small = image.convert("RGBA").resize((24, 24), Image.Resampling.LANCZOS)
    darkest, brightest = small.convert("L").crop((2, 9, 16, 22)).getextrema()
    assert brightest - darkest > 120


def test_extension_is_described():
    description = in_cmake("EXTENSION_DESCRIPTION")
    assert 80 < len(description) < 400 and "not for diagnosis" in description
    assert in_cmake("EXTENSION_CONTRIBUTORS")
    assert "Apache" in (ROOT / "LICENSE").read_text("utf-8")


def test_readme_has_what_reviewers_look_for():
    assert re.match(r"# AXON", README)
    assert re.search(r"!\[[^\]]+\]\(Resources/Screenshots/\S+\.png\)", README)
    for heading in ("## In 3D Slicer", "## How good it is, and limits", "## Cite", "## Licence"):
        assert f"\n{heading}\n" in README, heading
    slicer = (ROOT / "Resources" / "Docs" / "slicer.md").read_text("utf-8")
    for heading in ("## Installing", "## Tutorial", "## Troubleshooting", "## Removing"):
        assert f"\n{heading}\n" in slicer, heading
    assert len(README.splitlines()) < 160  # a path to the pages, not a manual
    assert "Sample Data" in README
    assert "arxiv.org/abs/2603.26509" in README
    assert "Apache-2.0" in README
    for module in [p.name for p in ROOT.iterdir() if (p / f"{p.name}.py").is_file()]:
        title = re.sub(r"^AXON", "AXON ", module)
        assert re.search(rf"\*\*{title}\*\*[^.]+\.", README), f"no sentence about {title}"


def test_clone_is_small_enough(tmp_path):
    """Counted as the index counts: every file of a clone of depth 1, those below .git too."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    clone, config = tmp_path / "clone", tmp_path / "gitconfig"
    config.write_text("[safe]\n\tdirectory = *\n")  # whoever owns this clone
    source = ROOT.as_uri()  # a path would copy the whole history in spite of --depth
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", source, clone],
        check=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": str(config)},
    )
    size = sum(path.stat().st_size for path in clone.rglob("*") if path.is_file())
    assert (clone / ENTRY.name).is_file() and (clone / ".git").is_dir()
    assert size < LIMIT_MB * 2**20
