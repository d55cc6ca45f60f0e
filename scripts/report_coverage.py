"""Report the branch coverage of the flight software by package: `make coverage`.

Exits with 1 if a branch of a package in `COMPLETE` is neither covered nor marked `# pragma: no cover: REASON` or
`# pragma: no branch: REASON`.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import coverage

COMPLETE: Final = ("start scripts", "pygnc/bus", "pygnc/formats", "pygnc/host", "pygnc/launch", "pygnc/supervisor")
_REPORT: Final = Path("build", "coverage", "report.json")


def main() -> int:
    """Print a table of the packages and the missing branches of complete ones."""
    measured = coverage.Coverage()
    measured.load()
    measured.json_report(outfile=str(_REPORT))
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    missing = []
    for name, file in json.loads(_REPORT.read_text())["files"].items():
        folders = Path(name).parts[1:-1]
        is_start = not folders or name.endswith("__main__.py")
        package = "start scripts" if is_start else "/".join(folders[: 1 + (folders[0] == "pygnc")])
        packages[package].update({key: value for key, value in file["summary"].items() if isinstance(value, int)})
        if package in COMPLETE and (file["missing_lines"] or file["missing_branches"]):
            gaps = ", ".join(f"{start} to {stop}" for start, stop in file["missing_branches"])
            missing.append(f"{name}: lines {file['missing_lines']}; branches {gaps}")
    print("| package | statements | branches | covered branches, % |\n|---|---|---|---|")
    for package, summary in sorted(packages.items()):
        branches = summary["num_branches"]
        share = 100.0 * summary["covered_branches"] / branches if branches else 100.0
        print(f"| {package} | {summary['num_statements']} | {branches} | {share:.1f} |")
    print("\n".join(missing), file=sys.stderr)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
