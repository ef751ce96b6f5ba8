"""Every command of README.md, CONTRIBUTING.md and the pages under Resources/Docs.

A fenced block runs as it stands, unless an HTML comment on the line above it says otherwise:

    <!-- not run: REASON -->        only read: every command must parse
    <!-- run by TEST FILE -->       another test runs it
    <!-- run with small networks and few steps: REASON -->
"""

import argparse
import importlib
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from axon_backend.cli.main import main, parser

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "axon_backend" / "demo_data"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("Resources/Docs/*.md")))
BLOCK = re.compile(r"(?:<!-- ([^\n]+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bat", "powershell")


@dataclass(frozen=True)
class Block:
    """A fenced block: the comment above it (or ""), its language and its text."""

    page: Path
    comment: str
    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block, without assignments before it."""
        lines = self.text.replace("\\\n", " ") if self.language == "sh" else self.text
        words = [
            shlex.split(part, comments=True, posix=self.language == "sh")
            for line in lines.splitlines()
            for part in line.split(" && ")
        ]
        return [[w for w in c if not re.match(r"[A-Z_]+=", w)] for c in words if c]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [Block(page, m[1] or "", m[2], m[3]) for m in BLOCK.finditer(text)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
COMMANDS = [
    pytest.param(block, command, id=f"{block.page.stem}-{' '.join(command)[:60]}")
    for block in BLOCKS
    if block.language in SHELLS
    for command in block.commands
]


def axon_arguments(command: list[str]) -> list[str] | None:
    """What follows `axon` or `... -m axon_backend`, also behind a launcher; None for others."""
    if command[0] == "axon":
        return command[1:]
    return command[command.index("axon_backend") + 1 :] if "axon_backend" in command else None


def test_every_fence_is_a_block_that_is_known():
    for page in PAGES:
        fences = re.findall(r"^\s*```", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), page.name
    assert {b.language for b in BLOCKS} <= {*SHELLS, "python", "json"}
    assert sum(not b.comment for b in BLOCKS if b.language in ("sh", "python")) >= 7


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.comment], ids=lambda b: b.page.stem)
def test_a_block_that_is_not_run_says_why(block):
    if found := re.fullmatch(r"run by (\S+)", block.comment):
        assert block.page.name in (ROOT / found[1]).read_text("utf-8")
    else:
        wanted = r"(not run|run with small networks and few steps): \S+( \S+){2,}"
        assert re.fullmatch(wanted, block.comment), block.comment


@pytest.mark.parametrize(("block", "command"), COMMANDS)
def test_every_command_can_be_typed(block, command, capsys):
    program, *rest = command
    options = axon_arguments(command)
    if options is not None:
        assert understood(options), capsys.readouterr().err
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert rest[0] in targets
    elif "pip" in rest:
        check_pip(rest)
    elif program == "docker":
        check_docker(rest)
    elif rest[:1] == ["clone"] and block.page.name == "README.md":
        address = json.loads((ROOT / "AXON.json").read_text("utf-8"))["scm_url"]
        assert rest == ["clone", "--depth", "1", address, "axon"]
    elif "python" in program:
        named = [word.split("::")[0] for word in rest if word.startswith("Testing/")]
        assert rest[0] == "-m" or named
        assert all((ROOT / name).exists() for name in named)
    else:
        assert program in ("git", "cd", "mkdir", ".", "py"), f"what is {program}?"


def check_docker(rest: list[str]) -> None:
    """`build` names a recipe and its arguments; `run` gives `axon`, its entry point, a command."""
    if rest[0] == "build":
        recipe = (ROOT / rest[rest.index("-f") + 1]).read_text("utf-8")
        given = {w.split("=")[1] for w in rest if w.startswith("--build-arg=")}
        assert given <= set(re.findall(r"^ARG (\w+)", recipe, re.MULTILINE))
        assert 'ENTRYPOINT ["axon"]' in recipe
    else:
        assert rest[0] == "run"
        image = next(n for n, word in enumerate(rest) if word.split(":")[0] == "axon")
        assert understood(rest[image + 1 :])


def understood(options: list[str]) -> bool:
    """Whether `axon` takes these arguments."""
    try:
        parser().parse_args(options)
    except SystemExit as stop:  # also after --version and --help, with 0
        return stop.code == 0
    return True


def check_pip(words: list[str]) -> None:
    """The files and extras that an installation names are there."""
    for option, value in zip(words, words[1:], strict=False):
        if option == "-c":
            assert (ROOT / value).is_file()
        if option == "-r":
            assert (ROOT / "AXONReconstruction" / "Resources" / value).is_file()
        if option == "-e":
            extras = re.fullmatch(r"\.\[(.+)\]", value)[1].split(",")
            project = (ROOT / "pyproject.toml").read_text("utf-8")
            assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)
    assert not any(word.startswith("axon-ct") for word in words), "not on PyPI"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_in_the_text_exist(page):
    text = page.read_text("utf-8")
    for name in set(re.findall(r"`(axon_backend(?:\.\w+)+)`", text)):
        package, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(package), last) or entry_points(name), name
    for path in set(re.findall(r"`([\w.]+/[\w./-]*\.(?:py|md|toml|txt))`", text)):
        assert any((base / path).exists() for base in (ROOT, ROOT / "axon_backend")), path


def test_the_command_line_page_lists_every_command():
    text = (ROOT / "Resources" / "Docs" / "command_line.md").read_text("utf-8")
    commands = next(a.choices for a in parser()._actions if isinstance(a.choices, dict))
    assert set(re.findall(r"^\| `axon (\w+)` \|", text, re.MULTILINE)) == set(commands)


def options_of(one: argparse.ArgumentParser) -> set[str]:
    """The options of a command and of all its subcommands."""
    found = set(one._option_string_actions)
    for action in one._actions:
        if isinstance(action.choices, dict):
            found.update(*(options_of(sub) for sub in action.choices.values()))
    return found


def test_options_in_the_text_exist():
    known = options_of(parser())
    for page in PAGES[2:]:
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", text):
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)) <= known, (page.name, code)


def entry_points(name: str) -> bool:
    """Whether the code looks for plugins in an entry-point group of that name."""
    sources = (ROOT / "axon_backend").rglob("*.py")
    return any(re.search(rf'= "{re.escape(name)}"$', p.read_text("utf-8"), re.M) for p in sources)


# What runs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """The files that the pages speak of, under their names."""
    import numpy as np
    from PIL import Image

    from axon_backend.imaging.ct import read_ct
    from axon_backend.imaging.ct_series_writer import write_ct_series
    from axon_backend.training.settings import to_yaml

    folder = tmp_path_factory.mktemp("files")
    shutil.copy(DEMO / "ct_lidc0306.nii.gz", folder / "chest_ct.nii.gz")
    ct = read_ct(folder / "chest_ct.nii.gz")
    write_ct_series(folder / "ct_folder", ct.hu, ct)
    for view in ("pa", "ll"):
        output = str(folder / f"{view}.dcm")
        assert (
            main(["drr", str(folder / "chest_ct.nii.gz"), "--view", view, "--output", output]) == 0
        )
    shutil.copy(folder / "pa.dcm", folder / "chest.dcm")
    clinical = np.asarray(Image.open(DEMO / "xray_pa.jpg").convert("L"))
    Image.fromarray(clinical).save(folder / "chest.png")
    (evaluated,) = (b for b in BLOCKS if b.language == "json")
    (folder / "cases.json").write_text(evaluated.text)
    small = training_tiny()
    (folder / "chests").mkdir()
    shutil.move(small.write_data(folder / "chests"), folder / "chests" / "DATA")
    (folder / "tiny.yaml").write_text(to_yaml(small.tiny(pairs=("validation.samples=0",))))
    return folder


def training_tiny():
    """Chests and settings of the training's own tests."""
    path = ROOT / "Testing" / "training" / "training_tiny.py"
    spec = importlib.util.spec_from_file_location("training_tiny_of_docs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs_here(block: Block) -> bool:
    return block.language in ("sh", "python") and not block.comment.startswith(
        ("not run", "run by")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if any(runs_here(b) for b in blocks_of(p))],
    ids=lambda page: page.stem,
)
def test_what_a_page_says_runs(page, files, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in blocks_of(page) if runs_here(block)]
    provide(files, tmp_path, blocks)
    for block in blocks:
        if block.language == "python":
            exec(compile(block.text, str(page), "exec"), {})
            continue
        for command in block.commands:
            arguments = axon_arguments(command)
            if arguments is None:  # has been looked at above
                continue
            if block.comment and arguments[0] == "train":
                arguments += ["--config", str(files / "tiny.yaml"), "--steps", "2"]
            if block.comment and arguments[0] == "evaluate":
                arguments += ["--stages", "coarse", "--samples", "1", "--figures", "0"]
            try:
                code = main(arguments)
            except SystemExit as stop:  # --version
                code = stop.code
            assert code == 0, (command, capsys.readouterr().err)
            if "--output" in arguments:
                assert Path(arguments[arguments.index("--output") + 1]).exists()


def provide(files: Path, folder: Path, blocks: list[Block]) -> None:
    """Copy the files that a page's blocks read and do not write themselves."""
    words = {word for block in blocks for word in re.findall(r"[\w.]+", block.text)}
    written = {w for b in blocks for w in re.findall(r"--output (\S+)", b.text)}
    for path in (*files.iterdir(), *(files / "chests").iterdir()):
        if path.name in words - written and path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.name in words - written:
            shutil.copy(path, folder / path.name)
    if "cases.json" in words:
        shutil.copy(files / "chest_ct.nii.gz", folder)
    if "DATA" in words:
        for path in (files / "chests").glob("*.nii.gz"):
            shutil.copy(path, folder)
