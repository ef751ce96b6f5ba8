"""The ``axon bundle`` commands; see ``commands``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.bundle import Bundle


def bundle_list(chosen: argparse.Namespace) -> int:
    """``axon bundle list``."""
    from axon_backend.bundle.library import installed_bundles, library_folder

    for info in installed_bundles():
        origin = "comes with AXON" if info.shipped else str(info.path)
        print(f"{info.name}  {info.version}  {info.megabytes:.1f} MB  {origin}")
    print(f"Imported models are stored in {library_folder()}")
    return 0


def bundle_show(chosen: argparse.Namespace) -> int:
    """``axon bundle show``."""
    from axon_backend.bundle import load_bundle
    from axon_backend.bundle.layout import MODEL_CARD

    bundle = load_bundle(chosen.name)
    megabytes = sum(f.stat().st_size for f in bundle.path.rglob("*") if f.is_file()) / 1e6
    print(f"{bundle.name} {bundle.version}, {megabytes:.1f} MB: {bundle.path}")
    print(bundle.metadata.get("description", ""))
    print(f"intended use: {bundle.metadata.get('intended_use', 'not stated')}")
    _print_method(bundle)
    print(f"networks: {', '.join(bundle.networks)}")
    print(f"SHA-256: {bundle.sha256}")
    card = bundle.path / MODEL_CARD
    if card.is_file():
        print(f"model card: {card}")
    return 0


def bundle_import(chosen: argparse.Namespace) -> int:
    """``axon bundle import``."""
    from axon_backend.bundle.library import import_bundle
    from axon_backend.cli.console import ProgressBars, stop_on_signal

    bars = ProgressBars(chosen.quiet)

    def progress(done: int, total: int) -> None:
        if total:
            bars("download (kB)", done // 1000, max(1, total // 1000))

    with stop_on_signal() as stop:
        try:
            info = import_bundle(
                chosen.source, sha256=chosen.sha256, progress=progress, cancelled=stop.is_set
            )
        finally:
            bars.close()
    print(f"{info.name} {info.version}: imported to {info.path}, every file verified")
    print(f"Use it with --bundle {info.path.name}")
    return 0


def bundle_delete(chosen: argparse.Namespace) -> int:
    """``axon bundle delete``."""
    from axon_backend.bundle.library import delete_bundle

    info = delete_bundle(chosen.name)
    print(f"{info.name} {info.version}: deleted, {info.megabytes:.1f} MB freed")
    return 0


def bundle_verify(chosen: argparse.Namespace) -> int:
    """``axon bundle verify``."""
    from axon_backend.bundle import load_bundle
    from axon_backend.inference.model_loading import check_model

    bundle = load_bundle(chosen.folder)
    check_model(bundle)
    bundle.atlas()
    print(f"{bundle.path}: {bundle.name} {bundle.version}, {len(bundle.checksums)} files verified")
    _print_method(bundle)
    print(f"networks: {', '.join(bundle.networks)}")
    print(f"SHA-256: {bundle.sha256}")
    return 0


def _print_method(bundle: Bundle) -> None:
    """Print a bundle's method, its stages and those that run by default, or why this installation
    cannot provide it."""
    from axon_backend.errors import AxonInputError
    from axon_backend.methods import registry

    try:
        info = registry.info(registry.method_name(bundle.config))
    except AxonInputError as error:
        print(f"method: {error}")
        return
    print(f"method: {info.label} ({info.name})")
    for stage in info.stages:
        about = f" ({stage.description})" if stage.description else ""
        print(f"  stage {stage.name}: {stage.label}{about}")
    print(f"stages run by default: {', '.join(info.stages_until(bundle.recommended_stage))}")


def bundle_export(chosen: argparse.Namespace) -> int:
    """``axon bundle export``."""
    from axon_backend.bundle import load_bundle
    from axon_backend.errors import AxonInputError
    from axon_backend.training.export import export_bundle
    from axon_backend.util.apart import check_apart

    check_apart(chosen.output, chosen.licence)
    licence = None
    if chosen.licence is not None:
        try:
            licence = Path(chosen.licence).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AxonInputError(f"{chosen.licence} could not be read as text.") from error
    made = export_bundle(
        Path(chosen.runs),
        Path(chosen.output),
        base=None if chosen.base is None else load_bundle(chosen.base),
        name=chosen.name,
        version=chosen.version,
        author=chosen.author,
        data_source=chosen.data_source,
        licence_text=licence,
        packed=chosen.packed,
        replace=chosen.overwrite,
    )
    for part, origin in made.origins.items():
        print(f"{part}: {origin}")
    for warning in made.warnings:
        print(f"warning: {warning}")
    bundle = made.bundle
    print(f"{bundle.path}: {bundle.name} {bundle.version}, {len(bundle.checksums)} files verified")
    path = f'"{bundle.path}"' if " " in str(bundle.path) else bundle.path
    print(f"Use it with --bundle {path}, or install it with `axon bundle import {path}`")
    return 0


def bundle_calibrate(chosen: argparse.Namespace) -> int:
    """``axon bundle calibrate``."""
    from axon_backend.bundle import load_bundle
    from axon_backend.errors import AxonInputError
    from axon_backend.training.calibrate import calibrate_bundle

    for option, value in (("--each", chosen.each), ("--steps", chosen.steps)):
        least = 1 if option == "--each" else 2
        if value < least:
            raise AxonInputError(f"{option} is {value}; it must be at least {least}.")

    made = calibrate_bundle(
        load_bundle(chosen.bundle),
        chosen.data,
        chosen.output,
        name=chosen.name,
        each=chosen.each,
        steps=chosen.steps,
        tell=lambda line: print(line, flush=True),
    )
    print(f"{made.path}: {made.name} {made.version}, {len(made.checksums)} files verified")
    return 0
