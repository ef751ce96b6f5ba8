"""The console API of AXON Training; no widgets."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AXONTrainingLib import processes
from AXONTrainingLib.dataset_description import DatasetDescription, describe
from AXONTrainingLib.parameters import STAGES, AXONTrainingParameterNode
from AXONTrainingLib.watching import RunWatch

# What training needs beyond reconstruction: the name on PyPI, and the name Python imports.
PACKAGES = {"lightning-fabric>=2.5": "lightning_fabric", "tensorboard": "tensorboard",
            "pyyaml": "yaml"}  # fmt: skip


def _backend():
    """`AXONReconstructionLib.setup.backend`: the other module's way to axon_backend."""
    from AXONReconstructionLib.setup import backend

    return backend


def inputError(sentence: str) -> Exception:
    """An error of the user's doing: what was found, and the way out."""
    return _backend().load("errors").AxonInputError(sentence)


class AXONTrainingLogic(ScriptedLoadableModuleLogic):
    """Checks data, and starts, watches, stops, resumes and exports trainings.

    A training is a process of its own, `axon train`, that only its folder connects with Slicer: it
    goes on when Slicer ends, and any Slicer can watch it again.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._processes: dict[Path, tuple[subprocess.Popen, float]] = {}  # by folder; when

    def getParameterNode(self) -> AXONTrainingParameterNode:
        """The scene's settings."""
        return AXONTrainingParameterNode(super().getParameterNode())

    def missing(self) -> str | None:
        """None when everything needed is installed, else the sentence that says what is not."""
        import importlib.util

        found = _backend().available()
        if found is not None:
            return found
        names = [pip for pip, name in PACKAGES.items() if importlib.util.find_spec(name) is None]
        if not names:
            return None
        return _("Training needs Python packages that are not installed yet: {names}.").format(
            names=", ".join(name.split(">")[0] for name in names)
        )

    # Data

    def checkDataset(self, path: str | os.PathLike[str]) -> DatasetDescription:
        """What is in a data set: the folder of a prepared one, or a JSON list of CTs.

        Raises:
            AxonInputError: it is missing or no data set.
        """
        return describe(_backend().load("dataset.dataset").Dataset.read(Path(path)))

    def prepare(
        self, source: str | os.PathLike[str], output: str | os.PathLike[str]
    ) -> subprocess.Popen:
        """Start `axon prepare`; its output goes to OUTPUT.log beside the data set.

        Raises:
            AxonInputError: the source is not there.
        """
        if not Path(source).exists():
            raise inputError(_("{path} does not exist. Choose a folder or a manifest.").format(
                path=source))  # fmt: skip
        output = Path(output)
        return self._launch(
            ["prepare", str(source), "--output", str(output)], self.prepareLog(output)
        )

    @staticmethod
    def prepareLog(output: str | os.PathLike[str]) -> Path:
        """Where `prepare` writes what it says."""
        output = Path(output)
        return output.with_name(output.name + ".log")

    # Training

    def start(
        self,
        data: str | os.PathLike[str],
        run: str | os.PathLike[str],
        *,
        stage: str = "coarse",
        preset: str = "preview",
        minutes: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        precision: str | None = None,
        seed: int | None = None,
        realShare: float | None = None,
        device: str = "auto",
        startBundle: str | os.PathLike[str] | None = None,
        extra: list[str] | None = None,
    ) -> Path:
        """Start a training; returns at once.

        Args:
            data: see `checkDataset`.
            run: the run's folder, new or empty. The folders of the stages lie beside one another:
                controlnet and sr find what they build on there.
            stage: coarse (encoder and CoarseDiff together), encoder, prior, controlnet or sr.
            preset: preview (for CPUs) or paper (for GPUs).
            minutes, steps: how long; neither is the preset's own.
            realShare: 0 to 1, of real X-rays among the pairs.
            startBundle: a model whose weights to begin from.
            extra: more settings, ``key=value``; `axon train STAGE --show` lists all.

        Returns:
            The run's folder, for `watch`, `stop` and `resume`.

        Raises:
            AxonInputError: something is missing, or a run is there already.
        """
        missing = self.missing()
        if missing is not None:
            raise inputError(missing)
        if stage not in STAGES:
            raise inputError(_("The stage {stage} is not known; it is one of {all}.").format(
                stage=stage, all=", ".join(STAGES)))  # fmt: skip
        described = self.checkDataset(data)
        if described.problems:
            raise inputError(described.problems[0])
        run = Path(run).absolute()
        self._checkFree(run)
        arguments = ["train", stage, "--data", str(data), "--run", str(run), "--preset", preset]
        if minutes is not None:
            arguments += ["--minutes", f"{minutes:g}"]
        elif steps is not None:
            arguments += ["--steps", str(steps)]
        given = {"batch": batch, "precision": precision, "seed": seed, "data.real": realShare}
        pairs = [f"{name}={value}" for name, value in given.items() if value is not None]
        for pair in [*pairs, *(extra or [])]:
            arguments += ["--set", pair]
        if startBundle:
            arguments += ["--start", str(startBundle)]
        arguments += ["--device", device, "--json"]
        return self._train(arguments, self._folder(run))

    def resume(self, run: str | os.PathLike[str]) -> Path:
        """Go on with a run that ended or was killed; returns at once.

        Raises:
            AxonInputError: there is no run, or it is still going.
        """
        folder = self._folder(run)
        command = [str(word) for word in folder.state().get("command") or []]
        if "train" not in command:
            raise inputError(
                _("{path} holds no training run to go on with. Choose a run's folder.").format(
                    path=run
                )
            )
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            raise inputError(_("The training in {path} is still running.").format(path=run))
        arguments = command[command.index("train") :]
        if "--resume" not in arguments:
            arguments.append("--resume")
        folder.stop_file.unlink(missing_ok=True)
        return self._train(arguments, folder)

    def watch(self, run: str | os.PathLike[str]) -> RunWatch:
        """What the run says about itself; ask its `poll` again and again."""
        folder = self._folder(run)
        return RunWatch(folder, self._processes.get(folder.path, (None,))[0])

    def stop(self, run: str | os.PathLike[str]) -> None:
        """Ask a run to finish its step, write its state and end; one that is still launching
        (`RunWatch.launching`) hears it as well."""
        folder = self._folder(run)
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            folder.request_stop()

    def terminate(self, run: str | os.PathLike[str]) -> None:
        """End a run's process now; what came after its last checkpoint is lost.

        Raises:
            AxonInputError: it runs on another machine.
        """
        folder = self._folder(run)
        state, launched = folder.state(), self._launched(folder)
        if launched is not None:
            processes.terminate(launched.pid)
            return
        if not folder.is_alive():
            return
        if state.get("host") != _backend().load("training.run.process_id").here():
            raise inputError(
                _("The training runs on {host}, not on this computer. Stop it there.").format(
                    host=state.get("host")
                )
            )
        processes.terminate(int(state["pid"]))

    # Model

    def exportBundle(
        self,
        runs: str | os.PathLike[str],
        output: str | os.PathLike[str],
        base: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen:
        """Start `axon bundle export`; its output goes to OUTPUT.log beside the model.

        Args:
            runs: the folder that the stages' runs lie in, or one run.
            output: the model's folder; it must not exist.
            base: a model that gives what was not trained; None is the one that ships with AXON.

        Raises:
            AxonInputError: there is no run, or the output exists.
        """
        if not Path(runs).is_dir():
            raise inputError(_("There is no folder {path}. Choose a run.").format(path=runs))
        output = Path(output)
        if os.path.lexists(output):
            raise inputError(
                _("{path} exists already, and nothing is overwritten. Choose another name.").format(
                    path=output
                )
            )
        if base is None:
            installed = _backend().load("bundle.library").installed_bundles()
            base = next((found.path for found in installed if found.shipped), None)
        arguments = ["bundle", "export", str(runs), str(output)]
        if base is not None:
            arguments += ["--base", str(base)]
        return self._launch(arguments, self.exportLog(output))

    @staticmethod
    def exportLog(output: str | os.PathLike[str]) -> Path:
        """Where `exportBundle` writes what it says."""
        output = Path(output)
        return output.with_name(output.name + ".log")

    # Inside

    def _folder(self, run):
        return _backend().load("training.run.run_folder").RunFolder(Path(run).absolute())

    def _launched(self, folder) -> subprocess.Popen | None:
        """The process that was started here in a folder, while it lives and has said nothing."""
        process, began = self._processes.get(folder.path, (None, 0.0))
        lives = process is not None and process.poll() is None
        return process if lives and folder.state().get("started", 0.0) < began else None

    def _checkFree(self, run: Path) -> None:
        folder = self._folder(run)
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            raise inputError(
                _("A training is running in {path}. Watch it, or choose another folder.").format(
                    path=run
                )
            )
        if folder.exists() and folder.has_weights():
            raise inputError(
                _(
                    "{path} holds a training already. Resume it, or choose another folder for a "
                    "new one."
                ).format(path=run)
            )
        if run.is_file() or (run.is_dir() and not os.access(run, os.W_OK)):
            raise inputError(_("{path} cannot be written to. Choose another folder.").format(
                path=run))  # fmt: skip

    def _train(self, arguments, folder) -> Path:
        began = time.time()
        self._processes[folder.path] = self._launch(arguments, folder.log_file, survive=True), began
        return folder.path

    def _launch(self, arguments, log, *, survive=False):
        package = Path(_backend().load().__file__).parent.parent
        try:
            return processes.launch(arguments, str(package), Path(log), survive=survive)
        except OSError as error:
            raise inputError(
                _("{path} cannot be written ({error}). Choose another folder.").format(
                    path=log, error=error.strerror or error
                )
            ) from error
