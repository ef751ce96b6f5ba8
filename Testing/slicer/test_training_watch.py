"""What the training module makes of a run's folder: numbers, curves, words; no process."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def training(host):
    """The AXON Training module with its panel, shown: (Python module, widget)."""
    path = Path(__file__).resolve().parents[2] / "AXONTraining" / "AXONTraining.py"
    loaded = host.load_module(path)
    for name in ("data", "training", "run", "model"):
        getattr(loaded[1].ui, f"{name}Section").collapsed = False
    yield loaded
    host.unload_module(path.stem)


@pytest.fixture
def run(tmp_path):
    """A run's folder; write(status, events...) appends."""
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
            "figures": {"v2_psnr": psnr, "v2_ssim": 0.5}}  # fmt: skip


def test_a_run_is_followed_and_a_resume_takes_the_lost_steps_back(training, run):
    logic = training[1].logic
    watch = logic.watch(run("running", START, step(10, 0.5), validation(10, 17.5)))
    assert (watch.status, watch.step, watch.done) == ("running", 10, 0.25)
    assert watch.secondsLeft == 15 and watch.memoryGb == 1.5 and watch.bestStep == 10
    assert not watch.poll()
    run("running", step(20, 0.4), validation(20, 17.0, best=False))
    assert watch.poll() and watch.losses == [(10, 0.5), (20, 0.4)] and watch.bestStep == 10
    # Killed, and resumed from the checkpoint of step 10.
    run("running", {**START, "step": 10}, step(15, 0.45))
    watch.poll()
    assert watch.losses == [(10, 0.5), (15, 0.45)]
    assert watch.figures["v2_psnr"] == [(10, 17.5)]


def test_a_process_that_is_gone_has_died(training, run):
    folder = run("running", START, step(10, 0.5), pid=2**22 + 1)
    (folder / "train.log").write_text("a\nKilled by the system\n")
    watch = training[1].logic.watch(folder)
    assert watch.status == "died" and "Killed by the system" in watch.explanation()


def test_a_training_is_active_from_its_start_although_it_says_nothing_yet(training, run):
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
    # One that ends without a word leaves the folder as it was.
    watch = RunWatch(RunFolder(folder), process)
    assert watch.status == "starting"
    process.kill()
    process.wait(30)
    assert watch.poll() and watch.status == "stopped" and not watch.launching


def test_the_panel_shows_a_run_chosen_by_its_folder(host, slicer, training, run):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    assert "No training in this folder" in ui.statusLabel.text
    panel.parameterNode.runPath = str(run("running", START, step(10, 0.5), validation(10, 17.5)))
    assert ui.statusLabel.text == "Training." and ui.progressBar.value == 250
    assert "Step 10 / 40" in ui.numbersLabel.text and "1.5 GB" in ui.numbersLabel.text
    assert "v2_psnr 17.5" in ui.numbersLabel.text
    assert ui.stopButton.enabled and not ui.startButton.enabled and not ui.resumeButton.enabled
    run("running", step(20, 0.3))
    panel.poll()
    losses = slicer.util.arrayFromTableColumn(panel.parameterNode.lossTable, "loss")
    assert np.allclose(losses, [0.5, 0.3])
    run("finished", {"event": "end", "status": "finished", "step": 40, "error": None})
    panel.poll()
    assert ui.statusLabel.text == "Finished." and ui.progressBar.value == 1000
    assert ui.startButton.enabled and not ui.stopButton.enabled


def test_a_training_is_watched_while_the_main_thread_keeps_the_lock(host, training, run):
    """As in Slicer. A training is a process, and a timer reads its folder: no thread is needed."""
    import subprocess
    import sys

    widget = training[1]
    folder = run("running", START)
    widget.panel.parameterNode.runPath = str(folder)
    write = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    told = json.dumps(step(10, 0.5)) + "\n"
    with host.gil_held():
        writer = subprocess.Popen([sys.executable, "-c", write, folder / "events.jsonl", told])
        assert host.wait_until(lambda: "Step 10 / 40" in widget.ui.numbersLabel.text, 100)
    assert writer.wait(30) == 0


def test_curves_have_their_own_views_and_give_the_others_back(host, slicer, training, run):
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


def test_a_sample_is_shown_with_its_true_ct_over_it(host, slicer, training, run, tmp_path):
    from PIL import Image

    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.imaging.write import write_volume

    frame = ThoraxFrame((0.0, 0.0, 0.0), (300.0, 250.0, 300.0))
    files = {"picture": str(tmp_path / "sample.png")}
    Image.new("L", (80, 40), 90).save(files["picture"])
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


def test_nothing_of_a_run_stays_when_another_folder_is_chosen(training, run, tmp_path):
    from PIL import Image

    Image.new("L", (80, 40), 90).save(tmp_path / "sample.png")
    files = {"picture": str(tmp_path / "sample.png")}
    sample = {"event": "sample", "step": 10, "case": "lidc0028", "files": files}
    panel, ui = training[1].panel, training[1].ui
    assert not ui.curvesButton.enabled
    for other in ("", str(tmp_path / "empty")):
        panel.parameterNode.runPath = str(run("stopped", START, step(10, 0.5), sample))
        assert ui.curvesButton.enabled and "lidc0028" in ui.sampleLabel.text
        assert not ui.samplePicture.pixmap.isNull()
        panel.parameterNode.runPath = other
        assert ui.sampleLabel.text == "" and ui.numbersLabel.text == ""
        assert ui.samplePicture.pixmap is None or ui.samplePicture.pixmap.isNull()


def test_a_job_tells_its_end_once(training, tmp_path):
    import subprocess
    import sys

    from AXONTrainingLib.processes import Job

    job, log = Job(), tmp_path / "job.log"
    assert not job.busy and job.ended() is None
    code = "print('a\\rhalf\\rdone'); print('last'); raise SystemExit(3)"
    with open(log, "wb") as output:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=output)
    job.begin(process, log)
    assert job.busy
    process.wait(30)
    assert job.busy and job.ended() == 3
    assert not job.busy and job.ended() is None
    assert job.words() == "done\nlast" and job.words(1) == "last"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job.begin(process, log)
    assert job.ended() is None
    assert not job.stopped
    job.terminate()
    assert process.wait(30) != 0 and job.ended() == process.returncode
    assert job.stopped


def test_an_older_data_set_does_not_make_a_stopped_preparation_a_success(training, tmp_path):
    """A process that is ended leaves code 1 on Windows, and -9 elsewhere; a full disk is 1 too."""
    import subprocess
    import sys

    widget = training[1]
    box, ui, output = widget.panel.boxes["data"], widget.ui, tmp_path / "data"
    output.mkdir()
    (output / "dataset.json").write_text('{"format": "axon-dataset", "version": 1, "cases": []}')
    log = tmp_path / "data.log"

    def end(code, words, stop=False):
        log.write_text(words)
        box._job.begin(process := subprocess.Popen([sys.executable, "-c", f"exit({code})"]), log)
        box._output, box._job.stopped = output, stop
        process.wait(30)
        ui.prepareLabel.text = ""
        box.poll()
        return ui.prepareLabel.text

    assert end(1, "cases 3/9\n", stop=True).startswith("Stopped.")
    full = "axon: Cannot write x: No space left on device. Run the same command again to go on."
    assert end(1, f"cases 3/9\n{full}\n") == "" and "No space left" in ui.messageLabel.text
    assert end(1, "3 cases in data\n  failed: p2: it vanished\n").startswith("Done.")
    assert end(0, "3 cases in data\n").startswith("Done.")


def test_a_training_that_is_launching_hears_a_stop_and_an_end(training, tmp_path):
    """It says nothing while Python imports, but both can be asked for."""
    import subprocess
    import sys

    logic, path = training[1].logic, tmp_path / "run"
    path.mkdir()
    folder = logic._folder(path)
    logic.stop(path)
    assert not folder.stop_file.exists()  # nobody there
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    logic._processes[folder.path] = process, time.time()
    logic.stop(path)
    assert folder.stop_file.exists()
    with pytest.raises(Exception, match="A training is running in"):
        logic._checkFree(path)
    logic.terminate(path)
    assert process.wait(30) != 0
    logic._checkFree(path)


def test_another_slicer_finds_the_run_among_the_recent_ones(host, training, run):
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


def test_a_data_set_is_described_and_its_faults_are_told(host, training, tmp_path):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    for name in "abc":
        (tmp_path / f"{name}.nii.gz").write_bytes(b"")
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"train": ["a.nii.gz", "b.nii.gz"], "validation": ["c.nii.gz"]}))
    panel.parameterNode.dataPath = str(data)
    host.click(ui.checkButton)
    assert ui.dataLabel.text.splitlines()[:2] == ["Training: 2 patients", "Validation: 1 patients"]
    assert not ui.messageFrame.visible
    (tmp_path / "b.nii.gz").unlink()
    host.click(ui.checkButton)
    assert "1 files are missing" in ui.messageLabel.text and "b.nii.gz" in ui.messageLabel.text
    panel.parameterNode.dataPath = str(tmp_path / "gone")
    host.click(ui.checkButton)
    assert "does not exist" in ui.messageLabel.text and ui.dataLabel.text == ""


def test_settings_are_kept_in_the_scene(host, training, tmp_path):
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


def test_what_is_missing_is_named_before_a_start(host, training):
    widget = training[1]
    with host.without("lightning_fabric"):
        widget.panel.boxes["settings"].lookForPackages()
        assert "lightning-fabric" in widget.ui.missingLabel.text
        assert widget.ui.installButton.visible and not widget.ui.startButton.enabled
    widget.panel.boxes["settings"].lookForPackages()
    assert not widget.ui.installButton.visible and widget.ui.startButton.enabled


def test_start_does_not_hang_on_what_is_visible(host, training, run):
    widget = training[1]
    panel, ui = widget.panel, widget.ui
    folder = run("finished", START, step(40, 0.1))
    # Another module is shown while the run is looked at: no control of this one is visible.
    widget.exit()
    with host.without("lightning_fabric"):
        panel.boxes["settings"].lookForPackages()
        widget.parent.hide()
        panel.parameterNode.runPath = str(folder)
        panel.poll()
        assert not ui.installButton.visible and not ui.startButton.enabled
    # Installed meanwhile, by the other module: opening this one again is enough.
    widget.parent.show()
    widget.enter()
    assert not ui.installButton.visible and ui.startButton.enabled


def test_every_control_explains_itself(training):
    ui = training[1].ui
    silent = [
        name
        for name, widget in sorted(vars(ui).items())
        if name.endswith(("Button", "Combo", "Spin", "Edit", "Slider", "Check", "Section", "Box"))
        and not widget.toolTip
    ]
    assert not silent


def test_nothing_heavy_is_imported_when_the_module_loads():
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[2]
    code = (
        f"import sys; sys.path += [r'{root}/AXONTraining', r'{root}/AXONReconstruction', r'{root}']"
        "\n"
        "import AXONTrainingLib.watching, AXONTrainingLib.processes;"
        "print([m for m in ('torch', 'monai', 'SimpleITK', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
