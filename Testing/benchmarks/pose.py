"""6-DoF registration: known poses recovered from two X-rays and from one.

    python Testing/benchmarks/pose.py --data DATA --out results/pose.json [--each 2]
        [--unknown-sid]

The radiograph lies on a detector whose place is known; the patient is turned by up to 10 degrees
about each axis and moved by up to 30 mm along each. The target registration error (TRE) is the mean
distance in space of a grid of points of the chest; mPD is the mean distance of their projections
on the frontal radiograph (mm on the plane through the chest's middle). One view does not show the
depth along its beam, so TRE without that component is given too. With ``--unknown-sid`` the tube
stands anywhere from 1 to 2 m, which the search, starting from 1.8 m, is not told; each case is
searched twice, once with the wrong distance kept and once with the distance sought.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import others
import torch
import xray_cases as cases
from planar import summary

from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.pose import Pose
from axon_backend.registration.place import PlacedView
from axon_backend.registration.resample import resample_image
from axon_backend.registration.rigid import register_pose

VIEWS = {"frontal": View.pa, "lateral": View.lateral_left}
MOST_TURN, MOST_SHIFT = 10.0, 30.0
SID_MM = (1000.0, 2000.0)


def random_pose(rng: np.random.Generator, unknown_sid: bool) -> Pose:
    """Uniform over the whole range."""
    turn = rng.uniform(-MOST_TURN, MOST_TURN, 3).tolist()
    shift = rng.uniform(-MOST_SHIFT, MOST_SHIFT, 3).tolist()
    sid = {"sid_mm": float(rng.uniform(*SID_MM))} if unknown_sid else {}
    return Pose(tuple(turn), tuple(shift), **sid)


def make(files: list[Path], each: int, seed: int, cache: Path | None, unknown_sid: bool):
    """(patient, true pose, {role: placed view}) one after the other; radiographs kept in
    ``cache``."""
    for path in files:
        patient = cases.Patient.read(path)
        for k in range(each):
            rng = np.random.default_rng([seed, *patient.name.encode(), k, 6])
            pose = random_pose(rng, unknown_sid)
            placed = {}
            for role, view in VIEWS.items():
                name = f"{patient.name}_{role}_{seed}_{k}_{pose.sid_mm:.0f}.npy"
                kept = cache / name if cache else None
                if kept is not None and kept.is_file():
                    radiograph = np.load(kept)
                else:
                    own = np.random.default_rng(
                        [seed, *patient.name.encode(), k, 7 + view.is_frontal]
                    )
                    radiograph = cases.random_radiograph(patient, view, pose, np.eye(3), own)
                    if kept is not None:
                        kept.parent.mkdir(parents=True, exist_ok=True)
                        np.save(kept, radiograph)
                extent = pose.geometry(patient.frame, view).extent_mm
                where = cases.placement(np.eye(3), extent)
                placed[role] = PlacedView(*resample_image(radiograph, where, 320), view)
            yield patient, pose, placed


def errors_mm(found: Pose | np.ndarray, true: Pose, frame) -> dict[str, float]:
    """TRE, TRE across the frontal beam, and mPD on the frontal radiograph; of a pose or a (4, 4)
    motion of the patient."""
    motion = found.matrix(frame.center_mm) if isinstance(found, Pose) else found
    at = np.linspace(-0.4, 0.4, 5)
    points = np.stack(np.meshgrid(at, at, at), -1).reshape(-1, 3) * frame.size_mm
    points = np.c_[points + frame.center_mm, np.ones(len(points))]
    away = (points @ (motion - true.matrix(frame.center_mm)).T)[:, :3]
    canonical = Pose(sid_mm=true.sid_mm).geometry(frame, View.pa)
    radiograph = [
        canonical.project((points @ m.T)[:, :3]) for m in (motion, true.matrix(frame.center_mm))
    ]
    extent = true.geometry(frame, View.pa).extent_mm
    across = away - [0, 1, 0] * away.mean(0)
    return {
        "tre_mm": round(float(np.linalg.norm(away, axis=1).mean()), 2),
        "tre_without_depth_mm": round(float(np.linalg.norm(across, axis=1).mean()), 2),
        "mpd_mm": round(
            float(np.linalg.norm((radiograph[0] - radiograph[1]) * extent, axis=1).mean()), 2
        ),
    }


def main() -> None:
    ask = cases.arguments(__doc__, each=2)
    ask.add_argument("--nanodrr-every", type=int, default=0, help="also nanodrr on every n-th")
    ask.add_argument("--unknown-sid", action="store_true")
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    searches = {"": False}
    if chosen.unknown_sid:
        searches = {", SID kept": False, ", SID sought": True}
    rows: dict[str, list[dict]] = defaultdict(list)
    files = cases.patients(chosen.data, tuple(chosen.splits.split(",")), chosen.every)
    radiographs = make(files, chosen.each, chosen.seed, chosen.cache, chosen.unknown_sid)
    for count, (patient, true, placed) in enumerate(radiographs):
        for name, roles, find_sid in (
            (views + how, roles, find_sid)
            for views, roles in (("two views", ("frontal", "lateral")), ("one view", ("frontal",)))
            for how, find_sid in searches.items()
        ):
            began, cpu = time.perf_counter(), time.process_time()
            views = {r: placed[r] for r in roles}
            found = register_pose(views, patient.ct, patient.frame, find_sid=find_sid)
            row = {
                "patient": patient.name,
                **errors_mm(found.pose, true, patient.frame),
                "seconds": round(time.process_time() - cpu, 1),
                "wall_s": round(time.perf_counter() - began, 1),
            }
            if chosen.unknown_sid:
                row["sid_mm"] = [round(true.sid_mm), round(found.pose.sid_mm)]
            rows[name].append(row)
            print(name, json.dumps(row), flush=True)
        if chosen.nanodrr_every and count % chosen.nanodrr_every == 0:
            cpu = time.process_time()
            volume = AttenuationVolume.from_ct(patient.ct).downsampled(128)
            motion = others.nanodrr_pose(placed["frontal"].pixels, volume, patient.frame, View.pa)
            row = {
                "patient": patient.name,
                **errors_mm(motion, true, patient.frame),
                "seconds": round(time.process_time() - cpu, 1),
            }
            rows["one view, nanodrr"].append(row)
            rows["one view, cases of nanodrr"].append(rows["one view"][-1])
            print("nanodrr", json.dumps(row), flush=True)
    result = {
        name: {
            key: summary([r[key] for r in some], [r["seconds"] for r in some])
            for key in ("tre_mm", "tre_without_depth_mm", "mpd_mm")
        }
        for name, some in rows.items()
    }
    for name, some in rows.items():
        if "sid_mm" in some[0]:
            off = [abs(found / true - 1) for true, found in (row["sid_mm"] for row in some)]
            result[name]["sid_off_by"] = {
                "median": round(float(np.median(off)), 3),
                "p90": round(float(np.quantile(off, 0.9)), 3),
            }
    cases.write(chosen.out, {**result, "cases": rows})
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
