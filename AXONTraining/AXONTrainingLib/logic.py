"""The console API of AXON Training; does not use widgets."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AXONReconstructionLib.jobs import processes
from AXONTrainingLib.dataset_description import DatasetDescription, describe
from AXONTrainingLib.parameters import AXONTrainingParameterNode
from AXONTrainingLib.watching import RunWatch

# Additional requirements of training: names on PyPI, and import names.
PACKAGES = {"lightning-fabric>=2.5": "lightning_fabric", "tensorboard": "tensorboard",
            "pyyaml": "yaml"}  # fmt: skip


def _backend():
    """`AXONReconstructionLib.setup.backend`, which provides access to axon_backend."""
    from AXONReconstructionLib.setup import backend

    return backend


def inputError(sentence: str) -> Exception:
    """The backend's `AxonInputError` for invalid input."""
    return _backend().load("errors").AxonInputError(sentence)


class AXONTrainingLogic(ScriptedLoadableModuleLogic):
    """Checks data sets, and starts, monitors, stops, resumes and exports training runs.

    Training runs in a separate process, `axon train`, which communicates through its run folder
    only: it continues when Slicer is closed and can be monitored from any instance of Slicer.
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._processes: dict[Path, tuple[subprocess.Popen, float]] = {}  # by folder; start time

    def getParameterNode(self) -> AXONTrainingParameterNode:
        """The module's parameter node of the scene."""
        # The wrapper adds the constructor, which mypy does not know.
        return AXONTrainingParameterNode(super().getParameterNode())  # type: ignore[call-arg]

    def missing(self) -> str | None:
        """None if all dependencies are installed, otherwise a message that lists the missing."""
        import importlib.util

        found = _backend().available()
        if found is not None:
            return found
        names = [pip for pip, name in PACKAGES.items() if importlib.util.find_spec(name) is None]
        if not names:
            return None
        return _("Training requires Python packages that are not installed: {names}.").format(
            names=", ".join(name.split(">")[0] for name in names)
        )

    @staticmethod
    def methodOf(node: AXONTrainingParameterNode):
        """`MethodInfo` of the method in a parameter node, the default one if it is not installed;
        None if `axon_backend` is not available."""
        from AXONReconstructionLib.setup import methods

        found = methods.available()
        return found.get(node.method) or next(iter(found.values()), None)

    # Data

    def checkDataset(self, path: str | os.PathLike[str]) -> DatasetDescription:
        """Summarise a data set: a prepared folder, or a JSON list of CTs.

        Raises:
            AxonInputError: it does not exist or is not a data set.
        """
        return describe(_backend().load("dataset.dataset").Dataset.read(Path(path)))

    def prepare(
        self, source: str | os.PathLike[str], output: str | os.PathLike[str]
    ) -> subprocess.Popen:
        """Start `axon prepare`; its log is written to OUTPUT.log next to the data set.

        Raises:
            AxonInputError: the source does not exist.
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
        """Log file of `prepare`."""
        output = Path(output)
        return output.with_name(output.name + ".log")

    # Training

    def start(
        self,
        data: str | os.PathLike[str],
        run: str | os.PathLike[str],
        *,
        method: str | None = None,
        stage: str | None = None,
        preset: str | None = None,
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
        """Start a training run; returns immediately.

        Args:
            data: see `checkDataset`.
            run: run folder, new or empty. Keep the runs of all stages in one parent folder, where
                those that need others look for them.
            method: name of the method; None is AXON.
            stage: name of one of its trainings; None is the first.
            preset: name of one of its presets; None is the first, which suits CPUs.
            minutes, steps: duration; the preset's default if neither is given.
            realShare: fraction of real X-rays among the training pairs, 0 to 1.
            startBundle: model whose weights initialise the networks.
            extra: further settings, ``key=value``; `axon train STAGE --show` lists them.

        Returns:
            The run folder, for `watch`, `stop` and `resume`.

        Raises:
            AxonInputError: an input is missing or invalid, or the folder contains a run.
        """
        missing = self.missing()
        if missing is not None:
            raise inputError(missing)
        registry = _backend().load("methods.registry")
        info = registry.info(method or registry.DEFAULT)
        stage, preset = stage or info.training_names[0], preset or info.presets[0]
        for what, name, known in (
            (_("training"), stage, info.training_names),
            (_("preset"), preset, info.presets),
        ):
            if name not in known:
                raise inputError(
                    _("{method} has no {what} {name}; choose one of {all}.").format(
                        method=info.label, what=what, name=name, all=", ".join(known)
                    )
                )
        described = self.checkDataset(data)
        if described.problems:
            raise inputError(described.problems[0])
        run = Path(run).absolute()
        self._checkFree(run)
        arguments = ["train", stage, "--data", str(data), "--run", str(run), "--preset", preset]
        if info.name != registry.DEFAULT:
            arguments += ["--method", info.name]
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
        """Resume a run that was stopped or killed; returns immediately.

        Raises:
            AxonInputError: there is no run, or it is still running.
        """
        folder = self._folder(run)
        command = [str(word) for word in folder.state().get("command") or []]
        if "train" not in command:
            raise inputError(
                _("{path} does not contain a training run. Choose a run folder.").format(path=run)
            )
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            raise inputError(_("The run in {path} is still active.").format(path=run))
        arguments = command[command.index("train") :]
        if "--resume" not in arguments:
            arguments.append("--resume")
        folder.stop_file.unlink(missing_ok=True)
        return self._train(arguments, folder)

    def watch(self, run: str | os.PathLike[str]) -> RunWatch:
        """Monitor a run; call `poll` of the result periodically."""
        folder = self._folder(run)
        return RunWatch(folder, self._processes.get(folder.path, (None,))[0])

    def stop(self, run: str | os.PathLike[str]) -> None:
        """Request a run to finish its step, save a checkpoint and exit; also while it is starting
        (`RunWatch.launching`)."""
        folder = self._folder(run)
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            folder.request_stop()

    def terminate(self, run: str | os.PathLike[str]) -> None:
        """Kill the process of a run; progress since its last checkpoint is lost.

        Raises:
            AxonInputError: it runs on another computer.
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
                _("The run is active on {host}, not on this computer. Stop it there.").format(
                    host=state.get("host")
                )
            )
        processes.terminate(int(state["pid"]))

    # Model

    def weights(self, run: str | os.PathLike[str]) -> str:
        """What a run has to export: ``best`` (the weights with the best validation), ``last`` (it
        was not validated yet), or an empty string."""
        folder = self._folder(run)
        if not folder.exists():
            return ""
        return "best" if folder.best.is_file() else "last" if folder.last.is_file() else ""

    def exportBundle(
        self,
        runs: str | os.PathLike[str],
        output: str | os.PathLike[str],
        base: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen:
        """Start `axon bundle export`; its log is written to OUTPUT.log next to the model.

        Args:
            runs: parent folder of the runs, or a single run folder.
            output: folder of the model, which is named like it; must not exist.
            base: model that provides untrained networks; None is the one that ships with AXON.

        Raises:
            AxonInputError: there is no run, or the output exists.
        """
        if not Path(runs).is_dir():
            raise inputError(
                _("The folder {path} does not exist. Choose a run folder.").format(path=runs)
            )
        output = Path(output)
        if os.path.lexists(output):
            raise inputError(
                _("{path} already exists and is not overwritten. Choose another name.").format(
                    path=output
                )
            )
        if base is None:
            installed = _backend().load("bundle.library").installed_bundles()
            base = next((found.path for found in installed if found.shipped), None)
        arguments = ["bundle", "export", str(runs), str(output), "--name", output.name]
        if base is not None:
            arguments += ["--base", str(base)]
        return self._launch(arguments, self.exportLog(output))

    @staticmethod
    def exportLog(output: str | os.PathLike[str]) -> Path:
        """Log file of `exportBundle`."""
        output = Path(output)
        return output.with_name(output.name + ".log")

    # Internal

    def _folder(self, run):
        return _backend().load("training.run.run_folder").RunFolder(Path(run).absolute())

    def _launched(self, folder) -> subprocess.Popen | None:
        """The process started by this logic in a folder, while it runs without any output yet."""
        process, began = self._processes.get(folder.path, (None, 0.0))
        lives = process is not None and process.poll() is None
        return process if lives and folder.state().get("started", 0.0) < began else None

    def _checkFree(self, run: Path) -> None:
        folder = self._folder(run)
        if folder.status() in RunWatch.ACTIVE or self._launched(folder) is not None:
            raise inputError(
                _("A run is active in {path}. Monitor it, or choose another folder.").format(
                    path=run
                )
            )
        if folder.exists() and folder.has_weights():
            raise inputError(
                _(
                    "{path} already contains a run. Resume it, or choose another folder for a new "
                    "one."
                ).format(path=run)
            )
        if run.is_file() or (run.is_dir() and not os.access(run, os.W_OK)):
            raise inputError(_("{path} is not writable. Choose another folder.").format(
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
                _("{path} is not writable ({error}). Choose another folder.").format(
                    path=log, error=error.strerror or error
                )
            ) from error
