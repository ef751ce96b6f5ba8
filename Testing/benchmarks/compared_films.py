"""Several models on clinical frontal X-rays without a CT: how well the DRR of each volume agrees
with the film, against that of the atlas, and a contact sheet to look at.

    python Testing/benchmarks/compared_films.py --data DATA --bundle A --bundle B --out FOLDER

A film whose registration is poor is left out, as `axon reconstruct` refuses it. A run that was
stopped, or to which bundles are added, computes only what is missing (the first bundle, to whose
atlas the films are registered, must stay the same).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from axon_backend.errors import AxonInputError
from axon_backend.evaluation.entrants import entrants
from axon_backend.evaluation.kept import Kept, key_of
from axon_backend.evaluation.statistics import mean_of, signed_rank_p
from axon_backend.imaging.display import grey
from axon_backend.imaging.matching import shrink_to
from axon_backend.imaging.write import write_png
from axon_backend.inference.case import place_case
from axon_backend.inference.case_files import read_case
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.inference.result import atlas_on_grid, reprojection
from axon_backend.util.hashing import content_sha256
from axon_backend.util.run_context import RunContext

SIDE = 128  # of a slice on the sheet
LOW, HIGH = -1000.0, 400.0


def slices(hu: np.ndarray) -> np.ndarray:
    """The coronal and the sagittal slice through the middle, (SIDE, 2 SIDE) uint8."""
    n = hu.shape[0] // 2
    pair = [hu[::-1, n], hu[::-1, :, n]]
    scaled = [shrink_to(np.clip((p - LOW) / (HIGH - LOW), 0, 1), SIDE, SIDE) for p in pair]
    return np.rint(255 * np.concatenate(scaled, 1)).astype(np.uint8)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True, help="folder whose xray/ holds the films")
    ask.add_argument("--bundle", action="append", required=True)
    ask.add_argument("--stages", default="", help="as in axon evaluate")
    ask.add_argument("--shown", type=int, default=6, help="films on the sheet")
    ask.add_argument("--out", type=Path, required=True)
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    kept, device = Kept(chosen.out), torch.device("cpu")
    asked = tuple(filter(None, chosen.stages.split(",")))
    opened = entrants(chosen.bundle, "cpu", asked or None)
    sessions = [entrant.session for entrant in opened]
    stages = [entrant.stages for entrant in opened]
    first = sessions[0].bundle
    labels = [session.bundle.name for session in sessions]
    assert len(set(labels)) == len(labels), "every bundle needs a name of its own"
    refused: list[str] = []
    rows: dict[str, dict[str, float]] = {}
    sheet: list[np.ndarray] = []
    for path in sorted((chosen.data / "xray").iterdir()):
        if path.suffix == ".json" or "scout" in path.name:
            continue
        about = {"film": content_sha256(path), "first": first.sha256}
        keys = [
            key_of(**about, bundle=s.bundle.sha256, stages=own)
            for s, own in zip(sessions, stages, strict=True)
        ]
        case_key = key_of(**about, kind="film")
        missing = [i for i, key in enumerate(keys) if kept.rows(key) is None]
        state = kept.rows(case_key)
        if state is None or (missing and not state[0]["refused"]):
            context = RunContext()
            try:
                case = read_case(path, None, None)
                placed = place_case(case, first, context, device=device, register=True)
            except AxonInputError as error:
                print(f"{path.name}: {error}", flush=True)
                kept.put(case_key, [{"refused": 1}])
                refused.append(path.name)
                continue
            view = placed.views["frontal"]
            atlas = reprojection(atlas_on_grid(atlas_ct(first), 64), placed)["frontal"]
            small = np.rint(255 * shrink_to(grey(view.pixels, view.valid).clip(0, 1), SIDE, SIDE))
            kept.put(
                case_key,
                [{"refused": int(bool(placed.refused)), "atlas": atlas}],
                {"film": small.astype(np.uint8)},
            )
            state = kept.rows(case_key) or []
            for i in () if placed.refused else missing:
                session = sessions[i]
                found = session.sample(placed, stages=stages[i], context=context)
                hu = session.window.to_hu(list(found.values())[-1][0][0, 0]).numpy()
                kept.put(keys[i], [reprojection(hu, placed)], {"slices": slices(hu)})
        if state[0]["refused"]:
            refused.append(path.name)
            continue
        rows[path.name] = {"atlas": state[0]["atlas"]}
        for label, key in zip(labels, keys, strict=True):
            rows[path.name][label] = (kept.rows(key) or [])[0]["frontal"]
        print(path.name, json.dumps(rows[path.name]), flush=True)
        if len(sheet) < chosen.shown:
            shown = [(kept.arrays(case_key) or {})["film"]]
            shown += [(kept.arrays(key) or {})["slices"] for key in keys]
            sheet.append(np.concatenate(shown, 1))
    table = {}
    for label in ("atlas", *labels):
        mean = mean_of([row[label] for row in rows.values()])
        differences = [row[label] - row["atlas"] for row in rows.values()]
        table[label] = {
            "agreement": round(mean.value, 4), "low": round(mean.low, 4),
            "high": round(mean.high, 4), "n": mean.n,
            "p_against_atlas": None if label == "atlas" else signed_rank_p(differences),
        }  # fmt: skip
        print(label, json.dumps(table[label]))
    done = {"table": table, "refused": refused, "films": rows}
    (chosen.out / "compared_films.json").write_text(json.dumps(done, indent=1), "utf-8")
    write_png(chosen.out / "compared_films.png", np.concatenate(sheet))


if __name__ == "__main__":
    main()
