"""Imported bundles: listed, found by name, copied in whole and verified, deleted."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from bundle_archives import imported, with_extra, zipped

from axon_backend.bundle import load_bundle, seal_bundle
from axon_backend.bundle.layout import METADATA, SHIPPED
from axon_backend.bundle.library import (
    bundle_path,
    delete_bundle,
    find_bundle,
    import_bundle,
    installed_bundles,
    library_folder,
)
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.util.hashing import file_sha256


def newer(bundle, version: str, folder: Path) -> Path:
    """A copy of the bundle's folder with another version."""
    shutil.copytree(bundle.path, folder)
    meta = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps(meta | {"version": version}))
    seal_bundle(folder)
    return folder


def test_the_library_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("AXON_HOME", str(tmp_path))
    assert library_folder() == tmp_path / "bundles"
    monkeypatch.delenv("AXON_HOME")
    assert library_folder() == Path.home() / ".axon" / "bundles"


def test_at_first_only_the_shipped_bundle_is_there(library):
    (info,) = installed_bundles()
    shipped = load_bundle()
    assert (info.name, info.version, info.path) == (shipped.name, shipped.version, SHIPPED)
    assert info.shipped and info.description == shipped.metadata["description"]
    assert info.recommended_stage == shipped.recommended_stage == "coarse"
    size = sum(f.stat().st_size for f in SHIPPED.rglob("*") if f.is_file())
    assert info.megabytes == pytest.approx(size / 1e6)
    assert not library.exists()  # looking makes nothing


@pytest.mark.parametrize("kind", ["folder", "zip", "zip in a folder"])
def test_an_imported_bundle_is_the_same_bundle(bundle, library, tmp_path, kind):
    if kind == "folder":
        source = bundle.path
    else:
        source = zipped(bundle, tmp_path / "b.zip", "" if kind == "zip" else "axon-test/")
    info = import_bundle(source)
    assert info.path == library / "axon-test-0.1.0" and not info.shipped
    copy = load_bundle(info.path)
    assert copy.sha256 == bundle.sha256 and copy.checksums == bundle.checksums
    assert [b.name for b in installed_bundles()] == [load_bundle().name, "axon-test"]
    assert imported(library) == ["axon-test-0.1.0"]
    assert bundle.path.is_dir()  # a folder is copied, not moved


def test_a_zip_file_is_checked_against_a_checksum_if_given(bundle, library, tmp_path):
    source = zipped(bundle, tmp_path / "b.zip")
    with pytest.raises(AxonInputError, match="; 0+ was expected"):
        import_bundle(source, sha256="0" * 64)
    with pytest.raises(AxonInputError, match="64 hexadecimal digits"):
        import_bundle(source, sha256="abc")
    assert imported(library) == []
    import_bundle(source, sha256="SHA256:" + file_sha256(source).upper())
    with pytest.raises(AxonInputError, match="is a folder"):
        import_bundle(bundle.path, sha256="0" * 64)


def test_nothing_comes_along_that_the_bundle_does_not_list(bundle, library, tmp_path):
    (bundle.path / ".DS_Store").write_text("x")
    (bundle.path / "docs" / "notes.txt").write_text("mine")
    archive = with_extra(zipped(bundle, tmp_path / "b.zip", "b/"), "__MACOSX/b/._config", b"mac")
    for source in (bundle.path, archive):
        info = import_bundle(source)
        found = {p.relative_to(info.path).as_posix() for p in info.path.rglob("*") if p.is_file()}
        assert found == {*bundle.checksums, "SHA256SUMS"}
        delete_bundle(info.name)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_bundle_is_installed_once(bundle, library, tmp_path, kind):
    import_bundle(bundle.path)
    source = bundle.path if kind == "folder" else zipped(bundle, tmp_path / "b.zip")
    with pytest.raises(AxonInputError, match=r"axon-test-0.1.0 is already installed.*Delete it"):
        import_bundle(source)
    assert imported(library) == ["axon-test-0.1.0"]


def test_the_shipped_bundle_is_not_imported_again(library):
    with pytest.raises(AxonInputError, match="it comes with AXON"):
        import_bundle(SHIPPED)
    assert imported(library) == []


def test_two_versions_live_side_by_side_and_have_to_be_told_apart(bundle, library, tmp_path):
    import_bundle(bundle.path)
    import_bundle(newer(bundle, "0.2.0", tmp_path / "newer"))
    assert imported(library) == ["axon-test-0.1.0", "axon-test-0.2.0"]
    assert find_bundle("axon-test-0.2.0").version == "0.2.0"
    for use in (find_bundle, delete_bundle, load_bundle):
        with pytest.raises(AxonInputError, match=r"axon-test-0.1.0, axon-test-0.2.0"):
            use("axon-test")
    delete_bundle("axon-test-0.1.0")
    assert find_bundle("axon-test").version == "0.2.0"


def test_a_bundle_is_loaded_by_its_name(bundle, library, tmp_path, monkeypatch):
    import_bundle(bundle.path)
    assert load_bundle("axon-test").sha256 == bundle.sha256
    assert load_bundle(load_bundle().name).path == SHIPPED
    assert bundle_path("elsewhere/axon-test") == Path("elsewhere/axon-test")
    with pytest.raises(AxonInputError, match="No bundle called 'nothing' is installed; there are"):
        load_bundle("nothing")
    # A folder that is there is what the user sees, and wins.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "axon-test").mkdir()
    with pytest.raises(AxonInputError, match="not an AXON bundle"):
        load_bundle("axon-test")


def test_delete_removes_the_bundle_and_nothing_else(bundle, library):
    import_bundle(bundle.path)
    (library / "notes").mkdir()
    info = delete_bundle("axon-test")
    assert info.version == "0.1.0" and imported(library) == ["notes"]
    with pytest.raises(AxonInputError, match="No bundle called 'axon-test'.*there are"):
        delete_bundle("axon-test")


@pytest.mark.parametrize("name", ["notes", "..", "../home", ".", ""])
def test_delete_touches_no_folder_that_is_no_bundle(bundle, library, name):
    import_bundle(bundle.path)
    (library / "notes").mkdir()
    with pytest.raises(AxonInputError, match="No bundle called"):
        delete_bundle(name)
    assert imported(library) == ["axon-test-0.1.0", "notes"]


def test_the_shipped_bundle_is_not_deleted(library):
    with pytest.raises(AxonInputError, match="comes with AXON"):
        delete_bundle(load_bundle().name)
    assert SHIPPED.is_dir()


def test_a_linked_bundle_is_unlinked_not_emptied(bundle, library):
    library.mkdir(parents=True)
    (library / "linked").symlink_to(bundle.path)
    delete_bundle("linked")
    assert imported(library) == [] and (bundle.path / METADATA).is_file()


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../outside.txt", 0),
        ("b/../../outside.txt", 0),
        ("/etc/outside.txt", 0),
        ("C:\\outside.txt", 0),
        ("b\\..\\..\\outside.txt", 0),
        ("b/link", 0o120777),
    ],
)
def test_a_zip_file_that_leads_outside_is_refused(bundle, library, tmp_path, name, mode):
    source = with_extra(zipped(bundle, tmp_path / "b.zip", "b/"), name, b"../../x", mode)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AxonInputError, match="leads outside"):
        import_bundle(source)
    assert imported(library) == []
    after = [p for p in sorted(tmp_path.rglob("*")) if "home" not in p.parts]
    assert after == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no zip", "not a valid zip file"),
        ("cut", "not a valid zip file"),
        ("flipped bit", "b.zip"),
        ("empty", "contains no bundle"),
        ("two", "more than one bundle"),
        ("deep", "nested deeper"),
        ("pickle", "run code"),
        ("changed weight", "has changed since"),
        ("missing file", "lacks its file"),
    ],
)
def test_what_is_no_sound_bundle_is_refused(bundle, library, tmp_path, damage, message):
    source = tmp_path / "b.zip"
    if damage == "no zip":
        source.write_bytes(b"not a zip at all" * 100)
    elif damage == "empty":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif damage == "deep":
        zipped(bundle, source, "a/b/c/")
    elif damage == "pickle":
        with_extra(zipped(bundle, source), "models/extra.pt", b"\x80\x04.")
    elif damage == "changed weight":
        data = bytearray((bundle.path / "models/sr.safetensors").read_bytes())
        data[-1] ^= 1
        (bundle.path / "models/sr.safetensors").write_bytes(data)
        zipped(bundle, source)
    elif damage == "missing file":
        (bundle.path / "models/sr.safetensors").unlink()
        zipped(bundle, source)
    else:
        zipped(bundle, source)
        content = source.read_bytes()
        if damage == "cut":
            source.write_bytes(content[: len(content) // 2])
        elif damage == "flipped bit":
            source.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
        elif damage == "two":
            with zipfile.ZipFile(source, "a") as archive:
                archive.writestr("other/configs/axon.json", "{}")
    with pytest.raises(AxonInputError, match=message) as refusal:
        import_bundle(source)
    assert ".import-" not in str(refusal.value)  # a folder that the user never sees
    assert imported(library) == []


def test_what_a_killed_deletion_left_goes_with_the_next_import(bundle, library, monkeypatch):
    import_bundle(bundle.path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path: None)  # killed before that
        delete_bundle("axon-test")
    assert len(list(library.iterdir())) == 1 and len(installed_bundles()) == 1  # the shipped one
    import_bundle(bundle.path)
    assert [p.name for p in library.iterdir()] == ["axon-test-0.1.0"]


def test_what_a_killed_import_left_goes_with_the_next(bundle, library):
    (library / ".import-0123456789ab").mkdir(parents=True)
    (library / ".import-0123456789ab" / "download.zip").write_bytes(b"half")
    info = import_bundle(bundle.path)
    assert list(library.iterdir()) == [info.path]


def test_a_zip_file_larger_than_the_disk_is_refused(bundle, library, tmp_path, monkeypatch):
    from axon_backend.bundle import unpack

    monkeypatch.setattr(unpack, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(AxonInputError, match="MB free.*AXON_HOME"):
        import_bundle(zipped(bundle, tmp_path / "b.zip"))
    assert imported(library) == []


def test_a_source_that_is_not_there(library, tmp_path):
    with pytest.raises(AxonInputError, match="There is no file or folder"):
        import_bundle(tmp_path / "nothing.zip")
    with pytest.raises(AxonInputError, match="http"):
        import_bundle("ftp://example.org/b.zip")
    with pytest.raises(AxonInputError, match="not an AXON bundle"):
        import_bundle(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_cancelled_import_leaves_nothing(bundle, library, tmp_path, kind):
    source = bundle.path if kind == "folder" else zipped(bundle, tmp_path / "b.zip")
    asked = []
    with pytest.raises(Cancelled):
        import_bundle(source, cancelled=lambda: asked.append(1) or len(asked) > 3)
    assert len(asked) == 4 and imported(library) == []


def test_a_library_that_cannot_be_written_is_named(bundle, library, tmp_path):
    (tmp_path / "home").write_text("a file in the way")
    with pytest.raises(AxonInputError, match="could not be copied to .*AXON_HOME"):
        import_bundle(bundle.path)


def test_odd_names_make_plain_folders(bundle, library, tmp_path):
    folder = newer(bundle, "0.1/..\\é", tmp_path / "odd")
    info = import_bundle(folder)
    assert info.path.parent == library
    assert info.path.name.isascii() and not set(info.path.name) & set("/\\:")
    assert find_bundle("axon-test").path == info.path
