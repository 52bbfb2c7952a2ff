"""Finds the commands, statements and settings in a guide's text, without knowing the list it is compared with."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.guides.steps import Guide

PROGRAMS = frozenset(
    ". CELL0_UUID api apt apt-get brctl cat cd chmod cinder-manage cp curl date df echo egrep export fdisk file"
    " firewall-cmd glance glance-manage grep i ifconfig ip keystone-manage ln ls mkdir mkfs.ext4 mount mysql"
    " mysql_secure_installation netstat neutron neutron-db-manage nova nova-manage openstack ping placement-manage"
    " pvcreate qemu-img rabbitmq-plugins rabbitmqctl rm scp service source ssh ssh-keygen su systemctl tail"
    " timedatectl unset vgcreate vi vim wget yum".split()
)
_PROMPT = re.compile(r"(?:\[root\[?@[^\]]*\]#?|[$#](?= )|MariaDB\s?\[[^\]]*\]>)\s*")
_NUMBER = re.compile(r"\s*\d+\.\s?(?=\S)|\s+")
_SQL = re.compile(r"(?:create database|grant all|flush privileges|exit\b|use \w+;|show \w+;)", re.IGNORECASE)
_SETTING = re.compile(r"(?:\d+\s*[: ]\s*)?([A-Za-z_]\w*)\s?=(?!=)\s*(.*)$")
_SECTION = re.compile(r"(?:\d+:)?\[(\w+)\]")
_FILE = re.compile(r"/etc/[\w./-]+\.(?:conf|ini)\b")
_SPAN = re.compile(r"`([^`]+)`")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_TABLE = re.compile(r"[+|]")


@dataclass(frozen=True, slots=True)
class Found:
    """`kind` is command, statement or setting; of a setting, `text` is `key=value` and the place is where it stands."""

    line: int
    kind: str
    text: str
    file: str = ""
    section: str = ""


def squeezed(text: str) -> str:
    """The guides' typesetting lost spaces: they do not count in a comparison."""
    return re.sub(r"\s+", "", text).rstrip(";")


def _ascii_part(text: str) -> str:
    """Without what is explained behind it in another script."""
    return re.split(r"[^\x00-\x7f]", text, maxsplit=1)[0].rstrip(" (,")


def joined_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines, those that end in a backslash joined with the next under the first one's number."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        line = line.replace("\u00a0", " ")
        if line.rstrip().endswith("\\"):
            held, first = held + line.rstrip()[:-1] + " ", first or number
            continue
        yield first or number, held + line
        held, first = "", 0


def find(guide: Guide, text: str) -> list[Found]:
    """In the order of the text. Of a command in several lines the first one's number counts."""
    found: list[Found] = []
    file, section = "", "DEFAULT"
    for number, line in joined_lines(text):
        number_before = _NUMBER.match(line)
        body = line[number_before.end() :] if number_before else line
        prompt = _PROMPT.match(body)
        if prompt and body.startswith("#") and not guide.prompted:
            continue
        typed = body[prompt.end() :] if prompt else body
        if _SQL.match(typed):
            found.append(Found(number, "statement", _ascii_part(typed)))
        elif command := _command(guide, typed, prompted=bool(prompt)):
            found.append(Found(number, "command", command))
        elif (setting := _SETTING.match(typed)) and not prompt:
            found.append(Found(number, "setting", f"{setting[1]}={setting[2]}", file, section))
            continue
        else:
            found += [Found(number, "command", each) for each in _spans(guide, line)]
        if match := _FILE.search(line):
            file, section = (match[0], "DEFAULT") if match[0] != file else (file, section)
        if match := _SECTION.fullmatch(_ascii_part(typed)):
            section = match[1]
    return found


def typed_lines(guide: Guide, text: str) -> Iterator[tuple[int, str]]:
    """Lines that someone types: those between fences where there are fences, else those in Latin letters only."""
    has_fences, inside = "```" in text, False
    for number, line in joined_lines(text):
        if line.strip().startswith("```"):
            inside = not inside
        elif inside if has_fences else line.isascii():
            # Headings begin with a capital or a number, output with a frame.
            body = line.strip()
            is_typed = body[:1].islower() or _SQL.match(body) or body[:2] == "$ "
            if is_typed:
                yield number, body


def _command(guide: Guide, typed: str, *, prompted: bool) -> str:
    part = _ascii_part(typed)
    if guide.prompted and not prompted and not part.startswith(("export ", "yum ")):
        return ""
    words = part.replace("=", " ", 1).split() if part.startswith("CELL0_UUID") else part.split()
    if not words or _TABLE.match(part):
        return ""
    if words[0] in PROGRAMS and (len(words) > 1 or prompted):
        return part
    # Behind root's prompt stands a command, whatever it is called.
    return part if prompted and guide.prompted and typed and not _SETTING.match(typed) else ""


def _spans(guide: Guide, line: str) -> Iterator[str]:
    """Commands inside a sentence: between backticks, or Latin letters among Korean ones."""
    if guide.prompted or line.startswith("#"):
        return
    if _HANGUL.search(line):
        pieces = [piece.lstrip(" .") for piece in re.split(r"[^\x00-\x7f]+", line)]
    else:
        pieces = _SPAN.findall(line)
    for piece in pieces:
        words = piece.split()
        if len(words) > 1 and words[0] in PROGRAMS:
            yield " ".join(words)
