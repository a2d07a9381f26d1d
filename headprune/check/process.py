"""The process in which `headprune.check.isolated` makes the checks: `python -m headprune.check.process FILE`.

It reads what to check from its standard input, and writes what came of it to FILE, a line of JSON for every piece of
news.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headprune.system import stopping


def main() -> None:
    """Ends at once when all is told: what a method leaves running in the background holds nobody up."""
    stopping.die_with_parent(int(os.environ[stopping.PARENT]))
    stopping.listen()
    request = json.load(sys.stdin)
    from headprune.check.suite import check_here

    with Path(sys.argv[1]).open("w", encoding="utf-8") as file:

        def tell(news: Mapping[str, Any]) -> None:
            file.write(json.dumps(news) + "\n")
            file.flush()

        try:
            check_here(request["file"], request["factor"], request["options"], tell)
        except (ValueError, OSError) as error:
            tell({"error": str(error)})
        else:
            tell({"done": True})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
