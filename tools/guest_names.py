"""Writes `docs/operations/guests.md`: what becomes of each extra spec and image property.

The rows are the program's own (`kilonova.compute.hardware.names`). `python -m tools.guest_names` writes the file, its
test compares.
"""

from collections.abc import Iterator, Mapping

from kilonova.compute.hardware.names import FLAVOR, IMAGE, Treatment
from tools.stages import ROOT

DOCUMENT = ROOT / "docs/operations/guests.md"
HEAD = """\
# What a guest is made of

A guest's hardware is what its flavor's extra specs and its image's properties say, and the options of its host where
they say nothing. Each name that is known stands below: **obeyed** with its effect, **refused** when a server is made,
with the reason that its user reads, or **harmless**, which is to say taken without effect because there is nothing to
be done. A name that is in neither table is its owner's note. A value that cannot be, and a flavor and an image that
contradict each other, are refused when a server is made.

Hosts need packages for some of it: OVMF (`ovmf`) for UEFI and secure boot; `swtpm` and `swtpm-tools`, with
`[libvirt] swtpm_enabled`, for TPMs; and in the guest `qemu-guest-agent`, with `hw_qemu_guest_agent=yes` of its image,
for setting passwords. Limits of interfaces need the kernel's `sch_htb`, `sch_sfq` and `sch_ingress`. Processors of a
guest's own need a host with `[compute] cpu_dedicated_set`, large pages one that has set them aside
([where servers go](placing.md)).

`.N` is any number and `*` any text.
"""


def rows(table: Mapping[str, Treatment]) -> Iterator[str]:
    for name, treatment in sorted(table.items()):
        note = treatment.note
        if treatment.neutral:
            note += f" (but for {', '.join(sorted(treatment.neutral))}, which asks for what is so anyway)"
        yield f"| `{name}` | {treatment.way} | {note} |"


def render() -> str:
    lines = [HEAD]
    for title, table in (("Extra specs of flavors", FLAVOR), ("Properties of images", IMAGE)):
        lines += [f"## {title}", "", "| name | | effect or reason |", "|---|---|---|", *rows(table), ""]
    return "\n".join(lines)


def main() -> None:
    DOCUMENT.write_text(render())


if __name__ == "__main__":
    main()
