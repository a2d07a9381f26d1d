"""Builds the library together with what lies beside it in the repository, so that an installed one needs no clone."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BUNDLED = (
    "Snakefile",
    "docs/methods",
    "methods",
    "paper_figures",
    "profiles",
    "results/published/papers.csv",
    "workflows",
)


def bundled_files() -> list[Path]:
    """Files of the repository that an installed library needs, as paths within the repository."""
    found = [path for name in BUNDLED for path in ([Path(name)] if Path(name).is_file() else Path(name).rglob("*"))]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


class BuildWithBundled(build_py):
    """Copies them to headprune/bundled, where `headprune.system.bundled` finds them.

    An editable installation reads them where they are.
    """

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "headprune" / "bundled"
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier build
            for file in bundled_files():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / file)

    def get_source_files(self) -> list[str]:
        """What a source distribution holds."""
        return [*super().get_source_files(), *map(str, bundled_files())]


setup(cmdclass={"build_py": BuildWithBundled})
