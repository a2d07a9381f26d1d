"""The layout of a results folder: every path of a run, spelled once."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from headprune.naming import cell_folder

MANIFEST = "manifest.json"
SIGNATURE = 12  # hexadecimal digits of one
STATISTICS = "statistics.json"  # of a prepared dataset; marks it as complete


@dataclass(frozen=True)
class CellFolder:
    """The files of one cell.

    :param path: folder of its records, `RUN/cells/MODEL/METHOD/kK-sS`
    :param outputs: folder of what its model put out, `RUN/segments/MODEL/METHOD/kK-sS`
    """

    path: Path
    outputs: Path

    @property
    def pruned(self) -> Path:
        """Record of its mask and its pruned model."""
        return self.path / "pruned.json"

    @property
    def test(self) -> Path:
        """Record of its scores on the test set."""
        return self.path / "test.json"

    @property
    def speed(self) -> Path:
        """Record of its latency and throughput."""
        return self.path / "speed.json"

    @property
    def model(self) -> Path:
        """Checkpoint of the pruned model."""
        return self.path / "model.pt"

    @property
    def identity(self) -> Path:
        """Everything that the results of the cell depend on; its digest is the signature."""
        return self.path / "identity.json"

    @property
    def manifest(self) -> Path:
        """Account of how its results came about."""
        return self.path / MANIFEST

    def record(self, step: str) -> Path:
        """Record of a step: `pruned`, `test` or `speed`."""
        return self.path / f"{step}.json"

    def outputs_on(self, split: str) -> list[Path]:
        """Files of outputs on a split."""
        return sorted(self.outputs.glob(f"*.{split}.*"))


@dataclass(frozen=True)
class RunFolder:
    """A results folder, `results/PROFILE`. Jobs are named as `headprune.pipeline.cells.Job.name` does."""

    path: Path

    # What came out, by cell, model and dataset.

    @cached_property
    def cells(self) -> Path:
        return self.path / "cells"

    def cell(self, name: str) -> CellFolder:
        """:param name: id of a cell, `MODEL/METHOD/kK-sS`"""
        return CellFolder(self.cells / name, cell_folder(self.path, name))

    def cell_name(self, file: Path) -> str:
        """Id of the cell that a file in a folder of records belongs to."""
        return file.parent.relative_to(self.cells).as_posix()

    def records(self, step: str) -> list[Path]:
        """Records of a step (`pruned`, `test`, `speed`) of all cells that have one."""
        return sorted(self.cells.glob(f"**/{step}.json"))

    def dataset(self, name: str) -> Path:
        """Folder of a prepared dataset."""
        return self.path / "data" / name

    def statistics(self, dataset: str) -> Path:
        """File that marks a prepared dataset as complete."""
        return self.dataset(dataset) / STATISTICS

    @property
    def datasets(self) -> list[Path]:
        """Folders of all datasets."""
        return sorted(self.path.glob("data/*/"))

    def dense(self, model: str, seed: int) -> Path:
        """Record of an unpruned model; its checkpoint is beside it, `.pt`."""
        return self.path / "dense" / model / f"s{seed}.json"

    def pretrained(self, model: str, seed: int) -> Path:
        """Record of the weights that trainings of a model begin with; their checkpoint is beside it, `.pt`."""
        return self.path / "pretrained" / model / f"s{seed}.json"

    def dense_manifest(self, model: str, seed: int) -> Path:
        return self.dense(model, seed).with_suffix(f".{MANIFEST}")

    def pretrained_manifest(self, model: str, seed: int) -> Path:
        return self.pretrained(model, seed).with_suffix(f".{MANIFEST}")

    def trial(self, model: str, method: str, seed: int, signature: str) -> Path:
        """Record of a training that serves several budgets; its model is beside it, `.pt`."""
        return self.path / "trials" / model / f"{method}-s{seed}-{signature}.json"

    def ablation(self, model: str, kind: str, seed: int) -> Path:
        """Record of a study of single heads."""
        return self.path / "ablations" / model / f"{kind}-s{seed}.json"

    def trial_of_tuning(self, model: str, label: str, trial: int, budget: int, seed: int) -> Path:
        """Record of a trial of the tuning of an entry, at one budget and seed."""
        return self.path / "tuning" / model / label / f"t{trial}" / f"k{budget}-s{seed}.json"

    def choice(self, model: str, label: str) -> Path:
        """Record of the options that the tuning of an entry has chosen."""
        return self.path / "tuning" / model / label / "choice.json"

    @property
    def trials_of_tuning(self) -> list[Path]:
        return self._all("tuning/*/*/*/*.json")

    @property
    def dense_records(self) -> list[Path]:
        return [path for path in self._all("dense/*/*.json") if not path.name.endswith(MANIFEST)]

    @property
    def pretrained_records(self) -> list[Path]:
        return [path for path in self._all("pretrained/*/*.json") if not path.name.endswith(MANIFEST)]

    @property
    def trials(self) -> list[Path]:
        return self._all("trials/*/*.json")

    @property
    def ablations(self) -> list[Path]:
        return self._all("ablations/*/*.json")

    # Jobs: receipts, logs, where they stand, what they need while they run.

    @cached_property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def receipts(self) -> list[Path]:
        return self._all("jobs/**/*.json")

    def receipt(self, job: str) -> Path:
        return self.jobs / f"{job}.json"

    def job_of(self, receipt: Path) -> str:
        """Name of the job that a receipt is of."""
        return receipt.relative_to(self.jobs).with_suffix("").as_posix()

    def log(self, job: str) -> Path:
        return self.path / "logs" / f"{job}.log"

    def state(self, job: str) -> Path:
        """File in which a job says where it stands."""
        return self.progress / f"{_flat(job)}.json"

    def attempts(self, job: str) -> Path:
        """Folder by which a job and its supervisor understand each other."""
        return self.path / "attempts" / _flat(job)

    @property
    def attempt_notes(self) -> list[Path]:
        """Notes of the attempts at all jobs that have not ended well."""
        return self._all("attempts/*/attempt.json")

    def lock(self, job: str) -> Path:
        return self.path / "locks" / f"{_flat(job)}.lock"

    def training(self, job: str, signature: str) -> Path:
        """Folder of a training while it runs; only the same training goes on from it."""
        return self.path / "training" / f"{_flat(job)}-{signature}"

    def trainings(self, job: str) -> list[Path]:
        """Such folders of a job, under whatever signature it ran."""
        digits = SIGNATURE * "[0-9a-f]"
        return self._all(f"training/{glob.escape(_flat(job))}-{digits}")

    # The run as a whole.

    @cached_property
    def progress(self) -> Path:
        return self.path / "progress"

    @property
    def states(self) -> list[Path]:
        """Notes of progress: of jobs, and of the run."""
        return self._all("progress/*.json")

    @property
    def plan(self) -> Path:
        """Jobs and cells of the run, as noted when it started."""
        return self.progress / "plan.json"

    @property
    def execution(self) -> Path:
        """Section `execution` of the profile."""
        return self.progress / "execution.json"

    @property
    def bounds(self) -> Path:
        """Lengths that the profile asks of the splits of its datasets."""
        return self.progress / "bounds.json"

    @property
    def calls(self) -> Path:
        """Calls of Snakemake."""
        return self.progress / "calls.json"

    @property
    def drawn(self) -> Path:
        """Digests of what was drawn of the tables."""
        return self.progress / "drawn.json"

    @property
    def registration(self) -> Path:
        """Digests of the claims when the run began."""
        return self.progress / "claims.json"

    @property
    def overview(self) -> Path:
        """State of the run a moment ago."""
        return self.progress / "overview.json"

    @property
    def notes(self) -> list[Path]:
        """All records and notes of the run that are JSON, but receipts and what belongs to a dataset."""
        return self._all(
            *("pretrained/*/*.json", "dense/*/*.json", "trials/*/*.json", "ablations/*/*.json", "tuning/**/*.json"),
            *("cells/**/*.json", "progress/*.json"),
        )

    @property
    def manifest(self) -> Path:
        """Account of the whole run."""
        return self.path / MANIFEST

    def table(self, name: str) -> Path:
        """A table of results, `cells.parquet`."""
        return self.path / name

    @property
    def exists(self) -> bool:
        """True if a run was started here."""
        return self.jobs.is_dir() or self.progress.is_dir()

    def require(self) -> None:
        """:raises FileNotFoundError: no run was started here."""
        if not self.exists:
            raise FileNotFoundError(f"{self.path} holds neither jobs/ nor progress/: it is not a results folder")

    def _all(self, *patterns: str) -> list[Path]:
        return [path for pattern in patterns for path in sorted(self.path.glob(pattern))]


def run_of_cell(folder: Path) -> tuple[RunFolder, str]:
    """Run and id of the cell whose records are in a folder `RUN/cells/…`."""
    home = next((parent for parent in folder.parents if parent.name == "cells"), folder)
    return RunFolder(home.parent), folder.relative_to(home).as_posix()


def _flat(job: str) -> str:
    """Name of a job as that of one file."""
    return job.replace("/", "-")
