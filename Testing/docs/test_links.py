"""Links, anchors and images of all Markdown files lead somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("Resources", "Testing", "AXONReconstruction", "AXONTraining", "axon_backend")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:img|a)[^>]+(?:src|href)=\"([^\"]+)\"")


def prose(path: Path) -> str:
    """A document without its code."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for match in LINK.finditer(prose(path)):
        link = urlsplit(match[1] or match[2])
        if link.scheme:
            assert link.scheme in ("http", "https", "mailto"), match[0]
            continue
        target = (path.parent / unquote(link.path)).resolve() if link.path else path
        assert target.exists(), match[0]
        assert target.is_relative_to(ROOT), match[0]
        if link.fragment:
            assert link.fragment in anchors(target), match[0]


def test_every_page_and_every_screenshot_is_used():
    seen = {
        (path.parent / unquote(urlsplit(m[1] or m[2]).path)).resolve()
        for path in DOCUMENTS
        for m in LINK.finditer(prose(path))
    }
    readme = {
        (ROOT / urlsplit(m[1] or m[2]).path).resolve()
        for m in LINK.finditer(prose(ROOT / "README.md"))
    }
    assert set((ROOT / "Resources" / "Docs").glob("*.md")) <= readme
    assert set((ROOT / "Resources" / "Screenshots").iterdir()) <= seen
