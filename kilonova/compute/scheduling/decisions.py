"""A decision as data: which stages hosts went through, and why each one that is left out is. Pure.

It is kept with the step that decided, for administrators (`os-instance-actions`), and answers `kilonova why-not`.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from kilonova.compute.scheduling.filters import NUMA_TOPOLOGY
from kilonova.compute.scheduling.hosts import HostState, Wanted
from kilonova.compute.scheduling.numa import shortages
from kilonova.compute.scheduling.plan import PLACEMENT, Plan, Stage, lacking

MOST_TOLD = 100
"""Hosts a stage tells the reasons of."""
LONGEST = 60_000
"""Bytes that are kept: MySQL's columns of text take little more."""


class Amount(Struct, frozen=True):
    wanted: int
    free: int


class Refusal(Struct, frozen=True):
    host: str
    reason: str
    lacking: dict[str, Amount] = {}
    """Resource class → how much is missing, of hosts without room; of one NUMA node, where the guest has demands."""


class StageRecord(Struct, frozen=True):
    name: str
    before: int
    after: int
    refused: tuple[Refusal, ...] = ()
    """Hosts that placement refused, the nearest miss first; none where a choice was made, to save their cost."""
    untold: int = 0
    """The number of others that were refused."""


class Asked(Struct, frozen=True):
    resources: dict[str, int]
    required_traits: tuple[str, ...]
    forbidden_traits: tuple[str, ...]
    groups: dict[str, dict[str, int]]
    """Suffix → resources."""
    availability_zone: str | None
    host: str | None


class Decision(Struct, frozen=True):
    said: str
    """All of it in a sentence, which names no host but the chosen one."""
    considered: int
    wanted: Asked
    stages: tuple[StageRecord, ...]
    chosen: str | None = None
    nearest: Refusal | None = None
    """The refused host that came furthest."""
    failed_before: dict[str, str] = {}
    """Host → why it could not build the server."""


def record(
    plan: Plan,
    wanted: Wanted,
    *,
    hosts: Sequence[HostState] = (),
    said: str,
    chosen: str | None = None,
    failed_before: Mapping[str, str] | None = None,
) -> Decision:
    """`hosts`: all that were considered, with their room; of a choice that was made they are not needed."""
    by_name = {each.host: each for each in hosts}
    stages = tuple(
        _stage(stage, by_name, wanted, is_told=chosen is None or stage.name != PLACEMENT) for stage in plan.stages
    )
    furthest = [stage.refused[0] for stage in stages if stage.refused]
    return Decision(
        said=said,
        considered=plan.stages[0].left + plan.stages[0].lost,
        wanted=Asked(
            wanted.resources,
            wanted.required_traits,
            wanted.forbidden_traits,
            {each.suffix: each.resources for each in wanted.groups},
            wanted.requested_zone,
            wanted.requested_host,
        ),
        stages=stages,
        chosen=chosen,
        nearest=furthest[-1] if furthest and chosen is None else None,
        failed_before=dict(failed_before or {}),
    )


def _stage(stage: Stage, hosts: Mapping[str, HostState], wanted: Wanted, *, is_told: bool) -> StageRecord:
    told = list(stage.refused.items())[:MOST_TOLD] if is_told and stage.lost else []
    refused = tuple(Refusal(host, reason, _amounts(stage.name, hosts.get(host), wanted)) for host, reason in told)
    return StageRecord(stage.name, stage.left + stage.lost, stage.left, refused, stage.lost - len(told))


def _amounts(stage: str, host: HostState | None, wanted: Wanted) -> dict[str, Amount]:
    if host is None:
        return {}
    if stage == NUMA_TOPOLOGY and wanted.topology is not None and host.topology is not None:
        short = shortages.lacking(wanted.topology, host.topology)
    else:
        short = lacking(host, wanted) if stage == PLACEMENT else []
    return {name: Amount(amount, free) for name, amount, free in short}


def encode(decision: Decision) -> str:
    """As JSON that can be kept: what does not fit is counted."""
    while True:
        text = msgspec.json.encode(decision).decode()
        most = max((len(stage.refused) for stage in decision.stages), default=0) // 2
        if len(text.encode()) <= LONGEST or not most:
            return text
        decision = msgspec.structs.replace(decision, stages=tuple(_shorter(stage, most) for stage in decision.stages))


def _shorter(stage: StageRecord, most: int) -> StageRecord:
    cut = max(len(stage.refused) - most, 0)
    return msgspec.structs.replace(stage, refused=stage.refused[:most], untold=stage.untold + cut)


def decode(text: str) -> Decision | None:
    """None for what earlier releases kept, a sentence."""
    try:
        return msgspec.json.decode(text, type=Decision)
    except msgspec.DecodeError:
        return None
