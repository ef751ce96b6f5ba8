"""Monitoring of a run folder by the training module: status, metrics, curves; no process."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def training(host):
    """The AXON Training module with its panel, shown: (Python module, widget)."""
    path = Path(__file__).resolve().parents[3] / "AXONTraining" / "AXONTraining.py"
    loaded = host.load_module(path)
    for name in ("data", "training", "run", "model"):
        getattr(loaded[1].ui, f"{name}Section").collapsed = False
    yield loaded
    host.unload_module(path.stem)


@pytest.fixture
def run(tmp_path):
    """write(status, *events): append events to a run folder; returns it."""
    from axon_backend.training.run.process_id import here, process_started

    folder = tmp_path / "runs" / "coarse"
    folder.mkdir(parents=True)

    def write(status, *events, pid=None):
        pid = os.getpid() if pid is None else pid
        state = {"stage": "coarse", "pid": pid, "pid_started": process_started(pid),
                 "host": here(), "status": status, "error": None,
                 "command": ["python", "-m", "axon_backend", "train", "coarse"]}  # fmt: skip
        (folder / "run.json").write_text(json.dumps(state))
        with open(folder / "events.jsonl", "a") as stream:
            stream.writelines(json.dumps(event) + "\n" for event in events)
        return folder

    return write


START = {"event": "start", "stage": "coarse", "step": 0, "total_steps": 40, "total_minutes": None,
         "device": "cpu", "parameters": 1000}  # fmt: skip


def step(number, loss):
    return {"event": "step", "step": number, "loss": loss, "rate": 1e-3, "steps_per_second": 2.0,
            "seconds_left": (40 - number) / 2, "memory_gb": 1.5}  # fmt: skip


def validation(number, psnr, best=True):
    return {"event": "validation", "step": number, "best": best,
            "metrics": {"v2_psnr": psnr, "v2_ssim": 0.5}}  # fmt: skip


def test_a_run_is_monitored_and_resuming_discards_lost_steps(training, run):
    logic = training[1].logic
    watch = logic.watch(run("running", START, step(10, 0.5), validation(10, 17.5)))
    assert (watch.status, watch.step, watch.fractionDone) == ("running", 10, 0.25)
    assert watch.secondsLeft == 15 and watch.memoryGb == 1.5 and watch.bestStep == 10
    assert not watch.poll()
    run("running", step(20, 0.4), validation(20, 17.0, best=False))
    assert watch.poll() and watch.losses == [(10, 0.5), (20, 0.4)] and watch.bestStep == 10
    # Killed, and resumed from the checkpoint at step 10.
    run("running", {**START, "step": 10}, step(15, 0.45))
    watch.poll()
    assert watch.losses == [(10, 0.5), (15, 0.45)]
    assert watch.metrics["v2_psnr"] == [(10, 17.5)]


def test_a_process_that_is_gone_has_died(training, run):
    folder = run("running", START, step(10, 0.5), pid=2**22 + 1)
    (folder / "train.log").write_text("a\nKilled by the system\n")
    watch = training[1].logic.watch(folder)
    assert watch.status == "died" and "Killed by the system" in watch.explanation()


def test_a_run_is_active_before_its_first_output(training, run):
    import subprocess
    import sys

    from axon_backend.training.run.run_folder import RunFolder
    from AXONTrainingLib.watching import RunWatch

    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    folder = run("stopped", START, step(10, 0.5))  # and resumed
    process = subprocess.Popen(sleeping)
    watch = RunWatch(RunFolder(folder), process)
    assert watch.status == "starting" and watch.active and watch.launching
    run("running", step(20, 0.4))
    assert watch.poll() and watch.status == "running" and not watch.launching
    run("stopped")
    assert watch.poll() and watch.status == "stopped"
    # A process that exits without output leaves the folder unchanged.
    watch = RunWatch(RunFolder(folder), process)
    assert watch.status == "starting"
    process.kill()
    process.wait(30)
    assert watch.poll() and watch.status == "stopped" and not watch.launching


def test_the_panel_shows_a_run_chosen_by_its_folder(host, slicer, training, run):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    assert "No run in this folder" in ui.statusLabel.text
    panel.parameterNode.runPath = str(run("running", START, step(10, 0.5), validation(10, 17.5)))
    assert ui.statusLabel.text == "Training." and ui.progressBar.value == 250
    assert "Step 10 / 40" in ui.numbersLabel.text and "1.5 GB" in ui.numbersLabel.text
    assert "PSNR 17.5 dB (two views)" in ui.numbersLabel.text
    assert ui.stopButton.enabled and not ui.startButton.enabled and not ui.resumeButton.enabled
    run("running", step(20, 0.3))
    panel.poll()
    losses = slicer.util.arrayFromTableColumn(panel.parameterNode.lossTable, "loss")
    assert np.allclose(losses, [0.5, 0.3])
    run("finished", {"event": "end", "status": "finished", "step": 40, "error": None})
    panel.poll()
    assert ui.statusLabel.text == "Finished." and ui.progressBar.value == 1000
    assert ui.startButton.enabled and not ui.stopButton.enabled


def test_a_run_is_monitored_while_the_main_thread_holds_the_gil(host, training, run):
    """As in Slicer. Training is a process, and a timer reads its folder: no thread is needed."""
    import subprocess
    import sys

    widget = training[1]
    folder = run("running", START)
    widget.panel.parameterNode.runPath = str(folder)
    write = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    event = json.dumps(step(10, 0.5)) + "\n"
    with host.gil_held():
        writer = subprocess.Popen([sys.executable, "-c", write, folder / "events.jsonl", event])
        assert host.wait_until(lambda: "Step 10 / 40" in widget.ui.numbersLabel.text, 100)
    assert writer.wait(30) == 0


def test_curves_have_their_own_layout_and_restore_the_previous_one(host, slicer, training, run):
    widget = training[1]
    widget.panel.parameterNode.runPath = str(run("running", START, step(10, 0.5), step(20, 0.4)))
    manager = slicer.app.layoutManager()
    before = manager.layout
    host.click(widget.ui.curvesButton)
    assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
    charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
    assert [chart.GetNumberOfPlotSeriesNodes() for chart in charts] == [2]
    host.click(widget.ui.viewsButton)
    assert manager.layout == before


def test_a_sample_is_shown_with_its_ground_truth(host, slicer, training, run, tmp_path):
    from PIL import Image

    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.imaging.write import write_volume

    frame = ThoraxFrame((0.0, 0.0, 0.0), (300.0, 250.0, 300.0))
    files = {"image": str(tmp_path / "sample.png")}
    Image.new("L", (80, 40), 90).save(files["image"])
    for name, value in (("prediction", -300.0), ("truth", 100.0)):
        files[name] = str(tmp_path / f"{name}.nii.gz")
        write_volume(Path(files[name]), np.full((8, 8, 8), value, np.float32), frame)
    event = {"event": "sample", "step": 20, "case": "lidc0028", "files": files}
    widget = training[1]
    node = widget.panel.parameterNode
    node.runPath = str(run("running", START, step(20, 0.4), event))
    assert slicer.util.arrayFromVolume(node.sampleVolume).mean() == pytest.approx(-300)
    assert "lidc0028" in node.sampleTruth.GetName() and "step 20" in widget.ui.sampleLabel.text
    composite = slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceCompositeNode")
    assert composite.GetBackgroundVolumeID() == node.sampleVolume.GetID()
    widget.ui.fadeSlider.value = 60
    assert composite.GetForegroundOpacity() == pytest.approx(0.6)
    count = len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    run("running", {**event, "step": 30})
    widget.panel.poll()
    assert "step 30" in node.sampleVolume.GetName()
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == count


def test_selecting_another_folder_clears_the_previous_run(training, run, tmp_path):
    from PIL import Image

    Image.new("L", (80, 40), 90).save(tmp_path / "sample.png")
    files = {"image": str(tmp_path / "sample.png")}
    sample = {"event": "sample", "step": 10, "case": "lidc0028", "files": files}
    panel, ui = training[1].panel, training[1].ui
    assert not ui.curvesButton.enabled
    for other in ("", str(tmp_path / "empty")):
        panel.parameterNode.runPath = str(run("stopped", START, step(10, 0.5), sample))
        assert ui.curvesButton.enabled and "lidc0028" in ui.sampleLabel.text
        assert not ui.sampleImage.pixmap.isNull()
        panel.parameterNode.runPath = other
        assert ui.sampleLabel.text == "" and ui.numbersLabel.text == ""
        assert ui.sampleImage.pixmap is None or ui.sampleImage.pixmap.isNull()


def test_a_job_returns_its_exit_code_once(training, tmp_path):
    import subprocess
    import sys

    from AXONReconstructionLib.jobs.processes import Job

    job, log = Job(), tmp_path / "job.log"
    assert not job.busy and job.takeExitCode() is None
    code = "print('a\\rhalf\\rdone'); print('last'); raise SystemExit(3)"
    with open(log, "wb") as output:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=output)
    job.follow(process, log)
    assert job.busy
    process.wait(30)
    assert job.busy and job.takeExitCode() == 3
    assert not job.busy and job.takeExitCode() is None
    assert job.lastLines() == "done\nlast" and job.lastLines(1) == "last"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job.follow(process, log)
    assert job.takeExitCode() is None
    assert not job.stopped
    job.terminate()
    assert process.wait(30) != 0 and job.takeExitCode() == process.returncode
    assert job.stopped


def test_an_existing_data_set_does_not_make_a_failed_preparation_succeed(training, tmp_path):
    """A killed process exits with code 1 on Windows and -9 elsewhere; a full disk gives 1, too."""
    import subprocess
    import sys

    widget = training[1]
    box, ui, folder = widget.panel.boxes["data"], widget.ui, tmp_path / "data"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"format": "axon-dataset", "version": 1, "cases": []}')
    log = tmp_path / "data.log"

    def end(code, output, stop=False):
        log.write_text(output)
        box._job.follow(process := subprocess.Popen([sys.executable, "-c", f"exit({code})"]), log)
        box._output, box._job.stopped = folder, stop
        process.wait(30)
        ui.prepareLabel.text = ""
        box.poll()
        return ui.prepareLabel.text

    assert end(1, "cases 3/9\n", stop=True).startswith("Stopped.")
    full = "axon: Cannot write x: No space left on device. Run the same command again to go on."
    assert end(1, f"cases 3/9\n{full}\n") == "" and "No space left" in ui.messageLabel.text
    assert end(1, "3 cases in data\n  failed: p2: it vanished\n").startswith("Done.")
    assert end(0, "3 cases in data\n").startswith("Done.")


def test_a_run_that_is_starting_can_be_stopped_and_killed(training, tmp_path):
    """There is no output during imports, but both requests must take effect."""
    import subprocess
    import sys

    logic, path = training[1].logic, tmp_path / "run"
    path.mkdir()
    folder = logic._folder(path)
    logic.stop(path)
    assert not folder.stop_file.exists()  # no process
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    logic._processes[folder.path] = process, time.time()
    logic.stop(path)
    assert folder.stop_file.exists()
    with pytest.raises(Exception, match="A run is active in"):
        logic._checkFree(path)
    logic.terminate(path)
    assert process.wait(30) != 0
    logic._checkFree(path)


def test_recent_runs_are_listed_after_the_scene_was_closed(host, training, run):
    widget = training[1]
    folder = str(run("stopped", START, step(10, 0.5)))
    widget.panel.parameterNode.runPath = folder
    host.close_scene()
    host.process_events(0.05)
    assert widget.panel.parameterNode.runPath == ""
    combo = widget.ui.recentCombo
    index = combo.findData(folder)
    combo.setCurrentIndex(index)
    combo.activated.emit(index)
    assert widget.panel.parameterNode.runPath == folder and widget.ui.resumeButton.enabled
    assert widget.ui.statusLabel.text.startswith("Stopped.")


def test_the_progress_of_a_preparation_is_a_count(training):
    from AXONTrainingLib.data_box import progressText

    assert progressText("cases:  33%|###  | 1/3 [00:05<00:10, 0.2step/s]") == (
        "1 of 3 patients prepared"
    )
    assert progressText("scanning /data: 20 files [of 3/4]") == "scanning /data: 20 files [of 3/4]"
    assert progressText("") == "Preparing..."


def test_a_data_set_is_summarised_and_its_problems_are_reported(host, training, tmp_path):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"train": ["a.nii.gz", "b.nii.gz"], "validation": ["c.nii.gz"]}))
    panel.parameterNode.dataPath = str(data)
    host.click(ui.checkButton)
    assert ui.dataLabel.text.splitlines()[:2] == ["Training: 2 patients", "Validation: 1 patient"]
    assert not ui.messageFrame.visible
    entries = [
        {"id": name, "split": split, "ct": f"{name}.nii.gz", "reconstructed": name == "b"}
        for name, split in (("a", "train"), ("b", "train"), ("c", "validation"))
    ]
    prepared = tmp_path / "dataset.json"
    prepared.write_text(json.dumps({"format": "axon-dataset", "version": 1, "cases": entries}))
    panel.parameterNode.dataPath = str(prepared)
    host.click(ui.checkButton)
    assert ui.dataLabel.text.splitlines()[0] == "Training: 2 patients, 1 without a CT"
    panel.parameterNode.dataPath = str(data)
    (tmp_path / "b.nii.gz").unlink()
    host.click(ui.checkButton)
    assert "1 files are missing" in ui.messageLabel.text and "b.nii.gz" in ui.messageLabel.text
    panel.parameterNode.dataPath = str(tmp_path / "gone")
    host.click(ui.checkButton)
    assert "does not exist" in ui.messageLabel.text and ui.dataLabel.text == ""


def test_settings_are_saved_with_the_scene(host, training, tmp_path):
    widget = training[1]
    ui = widget.ui
    ui.stageCombo.currentIndex = 3
    ui.amountSpin.value = 7
    ui.unitCombo.currentIndex = 1
    ui.extraEdit.plainText = "optimiser.lr=0.001"
    path = str(tmp_path / "scene.mrb")
    host.save_scene(path)
    host.close_scene()
    host.process_events(0.05)
    assert ui.amountSpin.value == 60
    host.load_scene(path)
    host.process_events(0.05)
    node = widget.panel.parameterNode
    assert (node.stage, node.amount, node.unit) == ("controlnet", 7, "steps")
    assert (ui.stageCombo.currentIndex, ui.amountSpin.value) == (3, 7)
    assert ui.extraEdit.plainText == "optimiser.lr=0.001"


def test_missing_packages_are_listed_and_disable_start(host, training):
    widget = training[1]
    with host.without("lightning_fabric"):
        widget.panel.boxes["settings"].checkPackages()
        assert "lightning-fabric" in widget.ui.missingLabel.text
        assert widget.ui.installButton.visible and not widget.ui.startButton.enabled
    widget.panel.boxes["settings"].checkPackages()
    assert not widget.ui.installButton.visible and widget.ui.startButton.enabled


def test_start_does_not_depend_on_widget_visibility(host, training, run):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    folder = run("finished", START, step(40, 0.1))
    # Another module is shown while the run is monitored: no widget of this one is visible.
    widget.exit()
    with host.without("lightning_fabric"):
        panel.boxes["settings"].checkPackages()
        widget.parent.hide()
        panel.parameterNode.runPath = str(folder)
        panel.poll()
        assert not ui.installButton.visible and not ui.startButton.enabled
    # Installed by the other module in the meantime: reopening this one is sufficient.
    widget.parent.show()
    widget.enter()
    assert not ui.installButton.visible and ui.startButton.enabled


def test_every_widget_has_a_tooltip(training):
    ui = training[1].ui
    withoutTooltip = [
        name
        for name, widget in sorted(vars(ui).items())
        if name.endswith(("Button", "Combo", "Spin", "Edit", "Slider", "Check", "Section", "Box"))
        and not widget.toolTip
    ]
    assert not withoutTooltip


def test_loading_the_module_imports_no_heavy_packages():
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[3]
    code = (
        f"import sys; sys.path += [r'{root}/AXONTraining', r'{root}/AXONReconstruction', r'{root}']"
        "\n"
        "import AXONTrainingLib.watching, AXONReconstructionLib.jobs.processes;"
        "print([m for m in ('torch', 'monai', 'SimpleITK', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
