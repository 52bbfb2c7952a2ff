"""Prove what the README promises: clone this commit elsewhere, run its commands there, clean up, look for leftovers.

`python3 -m tools.try_fresh [COMMAND...]`. Without commands it runs the lines that start with `$ ` or `# ` in the
README's `console` blocks, in one shell, but for those that clone the repository. Needs root.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.host_state import snapshot
from tools.stages import ROOT, is_root

CONSOLE_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def readme_commands(text: str) -> list[str]:
    """The commands a reader would type; a trailing backslash continues a command."""
    commands = []
    for block in CONSOLE_BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if line.startswith(("$ ", "# ")) and not line[2:].startswith(("git clone ", "cd ", "sudo -i")):
                commands.append(line[2:].removeprefix("sudo "))
    return commands


def render_script(commands: list[str]) -> str:
    """A shell script that shows each command before it runs it and stops at the first that fails."""
    lines = ["set -euo pipefail"]
    for command in commands:
        quoted = command.replace("'", "'\\''")
        lines += [f"printf '\\n$ %s\\n' '{quoted}'", command]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*")
    commands = parser.parse_args().commands or readme_commands((ROOT / "README.md").read_text())
    if not is_root():
        print("make fresh needs root: it brings up a whole cloud", file=sys.stderr)
        return 1
    if not commands:
        print("README.md has no `console` block with a command in it", file=sys.stderr)
        return 1
    before = snapshot()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kilonova-fresh-") as directory:
        clone = Path(directory, "kilonova")
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
        script = render_script(commands)
        ran = subprocess.run(["bash", "-c", script], cwd=clone, stdin=subprocess.DEVNULL)
        cleaned = subprocess.run(["make", "clean"], cwd=clone, stdin=subprocess.DEVNULL)
    leftovers = sorted(snapshot() - before)
    for leftover in leftovers:
        print(f"left behind: {leftover}")
    verdict = {"commands": ran.returncode, "make clean": cleaned.returncode, "left behind": len(leftovers)}
    print(", ".join(f"{name}: {count}" for name, count in verdict.items()), f"({time.monotonic() - started:.0f} s)")
    return 1 if any(verdict.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
