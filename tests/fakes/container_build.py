"""The instructions of a Containerfile, and their execution in Debian systems instead of a container engine."""

import json
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path, PurePath
from typing import NamedTuple

from tests.fakes.debian_system import DebianSystem


class Instruction(NamedTuple):
    """Instruction, such as RUN, and the text after it."""

    name: str
    text: str


def stages(file: Path) -> list[list[Instruction]]:
    """Return the instructions of each stage; the first of a stage is FROM."""
    found: list[list[Instruction]] = []
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition(" ")
            if name == "FROM":
                found.append([])
            found[-1].append(Instruction(name, text))
    return found


def words(instruction: Instruction) -> list[str]:
    """Return the words of an instruction in either of its forms."""
    listed = instruction.text.startswith("[")
    return list(json.loads(instruction.text)) if listed else shlex.split(instruction.text)


def is_ignored(context: Path, path: PurePath) -> bool:
    """Return True if a path in the folder of the sources is not copied, by its .containerignore."""
    found = False
    for line in (context / ".containerignore").read_text().splitlines():
        if any(_matches(parent, line.removeprefix("!")) for parent in (path, *path.parents)):
            found = not line.startswith("!")  # the last line counts
    return found


def _matches(path: PurePath, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return path.match(pattern.removeprefix("**/"))
    return len(path.parts) == len(PurePath(pattern).parts) and path.match(pattern)


def _ignored_names(context: Path, folder: str, names: list[str]) -> set[str]:
    return {name for name in names if is_ignored(context, (Path(folder) / name).relative_to(context))}


class Build:
    """Build of the stages in systems that stand for their base images.

    Args:
        context: folder of the sources.
        systems: one for each stage; `python` is Debian's Python.
    """

    def __init__(self, context: Path, systems: list[DebianSystem]) -> None:
        self._context = context
        self._systems = systems
        self.user = "root"
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"}
        self._folder = "/"

    def run(self, rank: int, stage: list[Instruction], more: dict[str, str]) -> None:
        """Execute the instructions of a stage; `more` are variables of this machine, such as those of pip."""
        self.user, self._folder = "root", "/"
        system = self._systems[rank]
        for instruction in stage:
            match instruction.name:
                case "RUN":
                    self.execute(system, ["/bin/sh", "-c", instruction.text], more)
                case "COPY":
                    self._copy(system, words(instruction))
                case "WORKDIR":
                    self._folder = instruction.text
                    (system.root / self._folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
                case "USER":
                    self.user = instruction.text
                case "ENV":
                    for pair in words(instruction):
                        key, _, value = pair.partition("=")
                        self.environment[key] = value.replace("$PATH", self.environment["PATH"])
                case _:
                    assert instruction.name in {
                        "FROM", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"
                    }  # fmt: skip

    def command(self, system: DebianSystem, arguments: list[str]) -> list[str]:
        """Return the command that runs a program as the present user in the present folder."""
        chroot = ["/usr/sbin/chroot", f"--userspec={self.user}", str(system.root)]
        return [*chroot, "/bin/sh", "-c", f"cd {self._folder} && exec {shlex.join(arguments)}"]

    def execute(self, system: DebianSystem, arguments: list[str], more: dict[str, str]) -> None:
        """Run a program to its end; it must succeed."""
        environment = self.environment | more
        command = self.command(system, arguments)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)

    def _copy(self, system: DebianSystem, arguments: list[str]) -> None:
        source_root = self._context
        if arguments[0].startswith("--from="):
            source_root = self._systems[0].root
            arguments = arguments[1:]
        (source, target) = arguments
        place = system.root / f"{self._folder}/{target}".lstrip("/") if target[0] != "/" else system.root / target[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        path = source_root / source.lstrip("/")
        if path.is_dir():
            ignored = partial(_ignored_names, path) if path == self._context else None
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            shutil.copy(path, place)
