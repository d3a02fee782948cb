"""All-reduces that use the machine's structure: domains first, or switches that add."""

from __future__ import annotations

from simcluster.cluster.messages import Messages, Reduction
from simcluster.traffic.pattern import Group, Phase, columns, domains, joined
from simcluster.traffic.rings import ring
from simcluster.traffic.trees import double_tree


def hierarchical(group: Group, domain_gpus: int) -> tuple[Phase, ...]:
    """Reduce-scatter inside domains, all-reduce of a share between members at the same place, all-gather inside."""
    parts = domains(group, domain_gpus)
    size = len(parts[0])
    inside = () if size == 1 else (_inside(parts, domain_gpus),)
    if len(parts) == 1:
        return (*inside, *inside)
    across = [
        ring(column, domain_gpus, volume=2 * (len(parts) - 1) / len(parts) / size, rounds=0)
        for column in columns(parts)
    ]
    return (*inside, joined(across, 2 * (len(parts) - 1)), *inside)


def gather_inside_out(group: Group, domain_gpus: int) -> tuple[Phase, ...]:
    """All-gather: first between members at the same place of different domains, then inside domains."""
    parts = domains(group, domain_gpus)
    size = len(parts[0])
    volume = (len(parts) - 1) / len(parts) / size
    inside = () if size == 1 else (_inside(parts, domain_gpus),)
    if len(parts) == 1:
        return inside
    across = [ring(column, domain_gpus, volume=volume, rounds=0) for column in columns(parts)]
    return (joined(across, len(parts) - 1), *inside)


def _inside(parts: tuple[Group, ...], domain_gpus: int) -> Phase:
    """A ring reduce-scatter or all-gather of a whole buffer in every domain at once."""
    size = len(parts[0])
    return joined([ring(part, domain_gpus, volume=(size - 1) / size, rounds=0) for part in parts], size - 1)


def in_switch(group: Group) -> Phase:
    """The NVSwitch adds (NVLink SHARP): each of n ranks has the switch sum its share of all buffers and sends the sum
    to all.  Every rank sends the payload plus 1/n of it, and receives as much, in two rounds."""
    share = 1 + 1 / len(group)
    return Phase(messages=Messages.none(), rounds=2, reductions=(Reduction(tier="nvlink", ranks=group, bytes=share),))


def in_network(group: Group, domain_gpus: int) -> tuple[Phase, ...]:
    """InfiniBand switches add (SHARP): reduce-scatter inside domains; each NIC sends its share up once and receives the
    sum once; all-gather inside.  The members at the same place of all domains share a tree of switches."""
    parts = domains(group, domain_gpus)
    size = len(parts[0])
    inside = () if size == 1 else (_inside(parts, domain_gpus),)
    sums = tuple(Reduction(tier="infiniband", ranks=column, bytes=1 / size) for column in columns(parts))
    return (*inside, Phase(messages=Messages.none(), rounds=2, reductions=sums), *inside)


def in_switch_tree(group: Group, domain_gpus: int) -> Phase:
    """NVSwitches add inside domains, two trees for half of the data each add between the members at the same place
    (NCCL's NVLSTree).  What comes up from a child domain crosses the parent's NVLink once more to be added, so with
    three domains or more a port carries twice what `in_switch` puts on it."""
    parts = domains(group, domain_gpus)
    size, ways = len(parts[0]), min(len(parts) - 1, 2)
    sums = tuple(Reduction(tier="nvlink", ranks=part, bytes=ways * (1 + 1 / size)) for part in parts)
    trees = [double_tree(column, domain_gpus, volume=1 / size) for column in columns(parts)]
    together = joined(trees, trees[0].rounds + 2)
    return Phase(messages=together.messages, rounds=together.rounds, reductions=sums)
