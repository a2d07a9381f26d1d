"""Results that lie there already, `--config published=NAME` or `published=[NAME, …]`: nothing is planned or trained, and
neither torch nor fairseq is imported. What is drawn goes to results/NAME-published, beside the committed tables.
"""

import os
import re
from pathlib import Path

from headprune.analysis import published
from headprune.cli import warm
from snakemake.exceptions import WorkflowError

try:
    FOUND = published.find(config["published"], Path(workflow.basedir))
except ValueError as error:
    raise WorkflowError(str(error))

RUNS = {
    f"{os.path.expanduser(config.get('results', 'results'))}/{name}-published": {
        "tables": [str(table) for table in published.tables(folder)],
        "contents": published.contents(folder),
    }
    for name, folder in FOUND.items()
}


onstart:
    if workflow.local_exec:
        warm.begin()
