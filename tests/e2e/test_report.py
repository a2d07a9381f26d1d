"""The report of a finished run, and Snakemake's own."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from smoke_run import Run


def test_every_cell_of_a_run_is_shown_whole(smoke: Run) -> None:
    text = (smoke.results / "report.html").read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">', 1)[1].split("</script>", 1)[0])
    assert {cell["id"] for cell in data["cells"]} == set(smoke.masks())
    assert "What these results lack" not in text
    for cell in data["cells"]:
        assert len(cell["outputs"]["values"]) == 10
        assert cell["mask"]["bits"].count("1") == cell["budget"]
        assert data["pool"][cell["config"]["cell"]] == cell["id"]
        assert cell["logs"]
    assert all({"sources", "references"} <= set(group["examples"]) for group in data["groups"])
    assert text.count("<figure id=") == len(list(smoke.results.glob("figures/*.png")))


def test_snakemakes_own_report(smoke: Run, tmp_path: Path) -> None:
    """It wants every output of the run, and shows figures and tables with their captions."""
    smoke.snakemake("all", "--report", str(tmp_path / "report.zip"))
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        names = [Path(name).name for name in archive.namelist()]
        page = archive.read("report/report.html").decode()
    assert {"pareto.png", "claims.csv", "results.csv"} <= set(names)
    for caption in ("Claims of the papers: held", "Quality against parameters", "Test quality of every method"):
        assert caption in page
