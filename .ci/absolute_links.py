"""Make the links of README.md absolute, because the package index shows it outside the repository.

python .ci/absolute_links.py https://github.com/OWNER/NAME TAG
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def absolute(text: str, repository: str, tag: str) -> str:
    """The text with every relative link, and every picture, at its address in the repository."""

    def link(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        view = "raw" if mark else "blob"
        return f"{mark}[{label}]({repository}/{view}/{tag}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)", link, text)


if __name__ == "__main__":
    readme = Path("README.md")
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), *sys.argv[1:]), encoding="utf-8")
