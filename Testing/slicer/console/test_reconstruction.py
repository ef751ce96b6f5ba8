"""Reconstruction with the module's logic: voxels, progress, cancelling, scene events."""

import functools
import json
import threading

import numpy as np
import pytest

STEPS = {"coarse": 3, "fine": 3}


@pytest.fixture
def frontal(logic, phantom_xray_file):
    return logic.loadRadiograph(phantom_xray_file, view="pa", name="phantom PA")


@pytest.fixture
def ct(logic, phantom_ct_file):
    return logic.loadCT(phantom_ct_file)


@pytest.fixture
def tiny(tiny_bundle):
    """Common settings of the runs: the tiny model, no registration."""
    return {"bundle": str(tiny_bundle.path), "register": False, "device": "cpu", "steps": STEPS}


def values(slicer, node):
    return slicer.util.arrayFromVolume(node)


@pytest.mark.slow
def test_the_shipped_model_gives_the_same_voxels_as_the_command_line(logic, slicer):
    from axon_backend.bundle.layout import SHIPPED
    from axon_backend.inference.reconstruct import reconstruct

    file = SHIPPED.parents[1] / "demo_data" / "xray_pa.jpg"
    settings = {"stages": ("coarse",), "steps": {"coarse": 1}, "register": False, "device": "cpu"}
    found = logic.reconstruct(logic.loadRadiograph(file), **settings)
    direct = reconstruct(file, **settings)
    assert np.array_equal(values(slicer, found.volume), direct.volume)
    assert found.record["bundle"] == direct.record["bundle"]
    assert found.record["inputs"] == direct.record["inputs"]


def test_all_volumes_and_metrics_match_the_backend(
    logic, slicer, frontal, ct, tiny, phantom_xray_file, phantom_ct_file
):
    from axon_backend.inference.reconstruct import reconstruct

    found = logic.reconstruct(frontal, None, ct, samples=2, seed=5, **tiny)
    direct = reconstruct(
        phantom_xray_file, ct=phantom_ct_file, samples=2, seed=5, frontal_view="pa", **tiny
    )
    assert list(found.volumes) == ["coarse", "fine", "sr"]
    for stage, node in found.volumes.items():
        assert np.array_equal(values(slicer, node), direct.volumes[stage])
    assert np.array_equal(values(slicer, found.deviation), direct.deviation["sr"])
    assert np.array_equal(values(slicer, found.truth), direct.truth["sr"])
    assert np.array_equal(values(slicer, found.difference), direct.volume - direct.truth["sr"])
    assert logic.metrics(found) == direct.record["metrics"]
    table = found.metricsTable
    stages = [table.GetCellText(row, 0) for row in range(4)]
    assert stages == ["coarse", "fine", "sr", "atlas_mean"]
    psnr = slicer.util.arrayFromTableColumn(table, "psnr")
    expected = [*direct.record["metrics"].values(), direct.record["atlas_mean"]]
    assert np.allclose(psnr, [m["psnr"] for m in expected])


def test_without_stages_those_that_the_model_recommends_run(logic, frontal, tiny, coarse_bundle):
    settings = {**tiny, "bundle": str(coarse_bundle.path)}
    assert list(logic.reconstruct(frontal, **settings).volumes) == ["coarse"]
    found = logic.reconstruct(frontal, stages="all", **settings)
    assert list(found.volumes) == ["coarse", "fine", "sr"]


def test_the_result_is_aligned_with_the_ct(logic, slicer, ct, tiny, marker_mm):
    """Ground truth and volumes share the frame: the CT's marker is at its position in mm."""
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    found = logic.reconstruct(None, None, ct, **tiny)
    k, j, i = np.unravel_index(values(slicer, found.truth).argmax(), (32, 32, 32))
    ras = (ijkToWorld(found.truth) @ [i, j, k, 1])[:3]
    assert np.abs(ras - np.array(marker_mm) * (-1, -1, 1)).max() < 10
    assert np.array_equal(ijkToWorld(found.truth), ijkToWorld(found.volume))


def test_a_posed_result_is_transformed_back_to_the_ct(logic, slicer, ct, tiny, marker_mm):
    from axon_backend.physics.pose import Pose
    from AXONReconstructionLib.scene.volumes import ijkToWorld

    found = logic.reconstruct(None, None, ct, pose=Pose((4, -6, 9), (12, -8, 15)), **tiny)
    k, j, i = np.unravel_index(values(slicer, found.truth).argmax(), (32, 32, 32))
    ras = (ijkToWorld(found.truth) @ [i, j, k, 1])[:3]
    assert np.abs(ras - np.array(marker_mm) * (-1, -1, 1)).max() < 12
    assert found.record["pose"]["rotation_deg"] == [4, -6, 9]


def test_accepted_placements_are_used_without_registration(logic, frontal, ct, tiny):
    known = np.array([[250, 0, 2.5], [0, 250, 2.5], [0, 0, 1.0]])
    found = logic.reconstruct(
        frontal, None, ct, accepted={"frontal": known}, stages=("coarse",), **tiny
    )
    placed = found.record["registration"][0]
    assert placed["accepted_by_user"] and np.allclose(placed["matrix"], known)


def test_progress_reports_stage_step_time_and_preview(logic, frontal, tiny):
    heard, stages = [], []
    logic.reconstruct(
        frontal,
        onProgress=lambda **report: heard.append(report),
        onStage=lambda stage, node: stages.append((stage, node.GetName())),
        **tiny,
    )
    coarse = [h for h in heard if h["stage"] == "coarse"]
    assert [(h["step"], h["total"]) for h in coarse] == [(1, 3), (2, 3), (3, 3)]
    assert all(h["secondsLeft"] is not None for h in coarse) and coarse[-1]["secondsLeft"] == 0
    assert coarse[0]["preview"].shape == (16, 16, 16)
    assert coarse[0]["preview"].min() >= -1000 and coarse[0]["preview"].max() <= 900
    assert [s for s, _name in stages] == ["coarse", "fine", "sr"]
    assert stages[0][1] == "AXON coarse, 1 view, seed 0, axon-tiny 0.0.1 (phantom PA)"


def test_nodes_carry_their_provenance(logic, frontal, tiny, tiny_bundle):
    found = logic.reconstruct(frontal, seed=7, **tiny)
    node = found.volumes["fine"]
    assert node.GetAttribute("AXON.Stage") == "fine" and node.GetAttribute("AXON.Seed") == "7"
    assert "not for diagnosis" in node.GetAttribute("AXON.ResearchUseOnly")
    assert tiny_bundle.sha256 in node.GetAttribute("AXON.Bundle")
    assert node.GetAttribute("AXON.Version") == found.record["software"]["axon"]


def test_the_parameter_node_stores_the_result_and_a_new_run_keeps_its_nodes(
    logic, slicer, frontal, ct, tiny
):
    parameters = logic.getParameterNode()
    first = logic.reconstruct(frontal, None, ct, parameterNode=parameters, **tiny)
    assert parameters.volumes["sr"] is first.volumes["sr"] and parameters.truthVolume is first.truth
    assert json.loads(parameters.record)["seed"] == 0
    stored = logic.metrics(parameters)
    assert stored == {
        stage: pytest.approx(found, rel=0, abs=0, nan_ok=True)  # NaN equals NaN
        for stage, found in first.record["metrics"].items()
    }
    before = {stage: values(slicer, node).copy() for stage, node in first.volumes.items()}
    second = logic.reconstruct(
        frontal, None, ct, parameterNode=parameters, stages=("coarse",), seed=1, **tiny
    )
    assert second.volumes["coarse"] is not first.volumes["coarse"]
    assert list(parameters.volumes) == ["coarse"] and json.loads(parameters.record)["seed"] == 1
    for stage, hu in before.items():
        assert np.array_equal(values(slicer, first.volumes[stage]), hu)
    other = logic.loadRadiograph(frontal, name="another")
    third = logic.reconstruct(other, parameterNode=parameters, stages=("coarse",), **tiny)
    assert third.volumes["coarse"] is not first.volumes["coarse"]
    assert (
        parameters.volumes["coarse"] is third.volumes["coarse"] and parameters.metricsTable is None
    )


def test_cancel_keeps_the_finished_stages(host, logic, slicer, frontal, tiny):
    parameters = logic.getParameterNode()
    jobs, rest, finished = [], [], []

    def stop(stage, step, **report):
        if stage == "fine":
            jobs[0].cancel()

    jobs.append(
        logic.reconstruct(
            frontal,
            parameterNode=parameters,
            onProgress=stop,
            onFinished=finished.append,
            onCancelled=rest.append,
            **{**tiny, "steps": {"coarse": 2, "fine": 1000}},
        )
    )
    assert host.wait_until(lambda: not logic.busy, 60)
    assert not finished and len(rest) == 1
    result = rest[0]
    assert result.cancelled and list(result.volumes) == ["coarse"]
    assert (
        parameters.volumes["coarse"] is result.volumes["coarse"]
        and "fine" not in parameters.volumes
    )
    assert np.ptp(values(slicer, result.volumes["coarse"])) > 0


def test_cancelling_before_the_first_stage_keeps_nothing(host, logic, frontal, tiny):
    rest = []
    job = logic.reconstruct(
        frontal, onFinished=lambda result: None, onCancelled=rest.append, **tiny
    )
    job.cancel()
    assert host.wait_until(lambda: not logic.busy, 60)
    assert rest == [None]


def test_a_blocking_call_that_is_cancelled_raises_with_the_finished_stages(logic, frontal, tiny):
    from axon_backend.errors import Cancelled

    def stop(stage, step, **report):
        if stage == "fine":
            logic.cancelAll()

    with pytest.raises(Cancelled) as caught:
        logic.reconstruct(
            frontal, onProgress=stop, **{**tiny, "steps": {"coarse": 2, "fine": 1000}}
        )
    assert list(caught.value.result.volumes) == ["coarse"]


def test_closing_the_scene_cancels_and_discards_the_result(host, logic, slicer, frontal, tiny):
    heard, rest = [], []

    def stop(stage, **report):
        heard.append(stage)
        if stage == "fine" and heard.count("fine") == 1:
            slicer.mrmlScene.Clear(0)

    logic.reconstruct(
        frontal,
        onProgress=stop,
        onStage=lambda stage, node: heard.append(node.GetName()),
        onFinished=lambda result: heard.append("finished"),
        onCancelled=rest.append,
        **{**tiny, "steps": {"coarse": 2, "fine": 1000}},
    )
    assert host.wait_until(lambda: not logic.busy, 60)
    assert rest == [None] and heard.count("fine") == 1 and "finished" not in heard
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_result_for_a_closed_scene_is_discarded(host, logic, slicer):
    heard = []
    job = logic.tasks.run(
        lambda job: "raw",
        lambda raw: heard.append("made nodes"),
        onFinished=heard.append,
        onCancelled=lambda rest: heard.append(("cancelled", rest)),
    )
    assert job._ended.wait(5)  # done, not delivered
    slicer.mrmlScene.Clear(0)
    assert host.wait_until(lambda: not logic.busy, 10)
    assert heard == [("cancelled", None)] and job.result is None


def test_an_error_arrives_on_the_main_thread_and_later_runs_work(host, logic, slicer, ct, tiny):
    errors = []
    logic.reconstruct(None, None, None, onFinished=errors.append, onError=errors.append, **tiny)
    assert host.wait_until(lambda: not logic.busy, 60)
    assert len(errors) == 1 and "one of them is needed" in str(errors[0])
    with pytest.raises(ValueError, match="one of them is needed"):
        logic.reconstruct(None, None, None, **tiny)
    assert logic.reconstruct(None, None, ct, stages=("coarse",), **tiny).finalStage == "coarse"


def test_the_gui_stays_responsive_during_a_blocking_call(logic, frontal, tiny, patient_steps):
    assert logic.reconstruct(frontal, **tiny).finalStage == "sr"
    assert {"coarse", "fine", "sr"} <= {stage for stage, _alive in patient_steps}
    assert all(alive for _stage, alive in patient_steps)


def test_a_case_survives_saving_and_loading_the_scene(host, logic, slicer, frontal, tiny, tmp_path):
    from AXONReconstructionLib.console import registering
    from AXONReconstructionLib.scene import nodes

    parameters = logic.getParameterNode()
    parameters.frontal = frontal
    known = np.array([[250, 3, 2.5], [-3, 250, 2.5], [0, 0, 1.0]])
    logic.register(frontal, bundle=tiny["bundle"], accepted={"frontal": known})
    logic.reconstruct(frontal, parameterNode=parameters, stages=("coarse",), **tiny)
    xray, record = nodes.radiographOf(frontal), parameters.record
    volume = values(slicer, parameters.volumes["coarse"]).copy()
    host.save_scene(str(tmp_path / "case.mrb"))
    host.load_scene(str(tmp_path / "case.mrb"))
    parameters = logic.getParameterNode()
    again = nodes.radiographOf(parameters.frontal)
    assert np.array_equal(again.pixels, xray.pixels) and again.assumptions == xray.assumptions
    assert parameters.record == record
    assert np.array_equal(values(slicer, parameters.volumes["coarse"]), volume)
    assert np.allclose(logic.matrixOf(parameters.frontal, bundle=tiny["bundle"]), known)
    own = parameters.frontal.GetParentTransformNode()
    assert registering.placementTransform(parameters.frontal) is own


def test_two_logics_do_not_disturb_each_other(host, slicer, logic, frontal, tiny, monkeypatch):
    """Step by step side by side, each gives what it gives alone; and one that is cancelled does not
    take the other with it."""
    from axon_backend.util.run_context import RunContext
    from AXONReconstruction import AXONReconstructionLogic

    tiny["stages"] = ("coarse",)
    alone = {
        seed: values(slicer, logic.reconstruct(frontal, seed=seed, **tiny).volume)
        for seed in (1, 2)
    }
    both, report, jobs = threading.Barrier(2, timeout=60), RunContext.report, {}

    def together(self, stage, step, *rest):
        if stage == "coarse" and not cancelling:
            both.wait()
        elif stage == "coarse" and self.seed not in started:
            started.add(self.seed)
            both.wait()
            if self.seed == 1:
                jobs[2].cancel()
            both.wait()
        report(self, stage, step, *rest)

    monkeypatch.setattr(RunContext, "report", together)
    other = AXONReconstructionLogic()
    try:
        for cancelling in (False, True):
            ended, started = {}, set()
            for seed, each in ((1, logic), (2, other)):
                jobs[seed] = each.reconstruct(
                    frontal,
                    seed=seed,
                    onFinished=functools.partial(ended.setdefault, seed),
                    onCancelled=functools.partial(ended.setdefault, seed),
                    **tiny,
                )
            assert host.wait_until(lambda: not (logic.busy or other.busy), 60)
            assert np.array_equal(values(slicer, ended[1].volume), alone[1])
            if cancelling:
                assert ended[2] is None
            else:
                assert np.array_equal(values(slicer, ended[2].volume), alone[2])
    finally:
        other.cleanup()


def test_remaining_time_is_estimated_from_completed_steps(module_path):
    pytest.importorskip("slicer")
    from AXONReconstructionLib.console.reconstructing import Stopwatch

    now = [100.0]
    watch = Stopwatch(lambda: now[0])
    assert watch.secondsLeft("read", 0, 2) is None
    now[0] = 103.0
    assert watch.secondsLeft("read", 2, 2) == 0
    now[0] = 105.0  # coarse started when read ended: its first step took 2 s
    assert watch.secondsLeft("coarse", 1, 10) == 18
    now[0] = 106.0
    assert watch.secondsLeft("coarse", 2, 10) == pytest.approx(12)
    now[0] = 110.0
    assert watch.secondsLeft("fine", 0, 5) is None  # this one reports before its first step
    now[0] = 111.0
    assert watch.secondsLeft("fine", 1, 5) == 4
