"""One rank's share of a model and its work: how wide its shards are, how many tokens and sequences it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from simcluster.model.transformer import Model, Moe
from simcluster.model.workload import Workload
from simcluster.plan import redundancy, routing
from simcluster.plan.degrees import Degrees
from simcluster.plan.execution import FILL, PLAIN, Execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one rank of a pipeline stage holds and does.

    Degrees divide what they cut, so the shares of a stage's ranks are equal but for the token copies that their experts
    receive.
    """

    model: Model
    degrees: Degrees
    workload: Workload
    execution: Execution = PLAIN
    stage: int = 0

    def at(self, stage: int) -> Share:
        """The share of a rank of another stage."""
        return replace(self, stage=stage)

    @property
    def stages(self) -> tuple[range, ...]:
        """The layers of every stage, first to last."""
        even = (self.model.layers // self.degrees.pp,) * self.degrees.pp
        ends = list(accumulate(self.execution.stage_layers or even))
        return tuple(range(start, stop) for start, stop in pairwise([0, *ends]))

    @property
    def layers(self) -> range:
        """The layers of this stage."""
        return self.stages[self.stage]

    @property
    def is_first(self) -> bool:
        return self.stage == 0

    @property
    def is_last(self) -> bool:
        return self.stage == self.degrees.pp - 1

    @property
    def heads(self) -> int:
        return self.model.heads // self.degrees.tp

    @property
    def kv_heads(self) -> int:
        """KV heads on a rank; with more tensor ranks than KV heads each head is held by several ranks."""
        return max(1, self.model.kv_heads // self.degrees.tp)

    @property
    def experts(self) -> int:
        """Experts on a rank (each cut over etp), redundant ones included."""
        return (self.model.moe.experts + self.workload.redundant_experts) // self.degrees.ep if self.model.moe else 0

    @property
    def expert_popularity(self) -> tuple[float, ...]:
        """The weight of each expert by index; empty without experts."""
        moe, workload = self.model.moe, self.workload
        if moe is None:
            return ()
        law: Sequence[float] = (1.0,) * moe.experts
        if workload.power_law is not None:
            law = routing.measured_law(moe.experts, *workload.power_law, self.routed_tokens, moe.top_k)
        return tuple(workload.expert_load.get(expert, weight) for expert, weight in enumerate(law))

    @property
    def routed_tokens(self) -> int:
        """Tokens that one copy of all experts serves in a step, those of all ranks over edp."""
        return max(1, round(self.workload.batch * self.workload.tokens_per_sequence / self.degrees.edp))

    @property
    def expert_weights(self) -> tuple[float, ...]:
        """Copies that each expert gets, by index, in proportion: its popularity, or what was drawn by it."""
        moe, seed = self.model.moe, self.workload.drawn_by
        if moe is None or seed is None:
            return self.expert_popularity
        return routing.drawn(self.expert_popularity, self.routed_tokens, moe.top_k, seed)

    @property
    def expert_places(self) -> tuple[tuple[int, ...], ...]:
        """The experts that each ep coordinate holds; redundant ones are placed by popularity."""
        return redundancy.placed(self.expert_popularity, self.degrees.ep, self.workload.redundant_experts)

    @property
    def expert_shares(self) -> tuple[float, ...]:
        """Each ep coordinate's part P_j of all token copies, adding up to 1; empty where all get the same.

        P_j = sum of w_e over the experts that it holds (`expert_places`) / sum of all w_e; the copies of an expert that
        several coordinates hold are split evenly over them.
        """
        workload = self.workload
        if self.model.moe is None or not (
            workload.expert_load or workload.power_law or workload.redundant_experts or workload.drawn_by is not None
        ):
            return ()
        parts = routing.held(self.expert_weights, self.expert_places)
        return () if len(set(parts)) == 1 else parts

    @property
    def expert_loads(self) -> tuple[float, ...]:
        """Token copies at each ep coordinate over their mean, ep·P_j; (1,) where all get the same."""
        return tuple(self.degrees.ep * part for part in self.expert_shares) or (1.0,)

    @property
    def moe_layers(self) -> int:
        """Layers of this stage that have experts."""
        return sum(isinstance(self.model.ffn_of(layer), Moe) for layer in self.layers)

    def cached_positions(self, layer: int) -> float:
        """Positions of a layer's cache that a rank keeps of each sequence: at most its window, in whole blocks, cut
        over cp."""
        window, block = self.model.window_of(layer), self.workload.kv_block
        kept = self.workload.cached_tokens if window is None else min(window, self.workload.cached_tokens)
        return -(-kept // block) * block / self.degrees.cp

    @property
    def vocab(self) -> int:
        """Rows of the embedding on a rank; the last shard is padded."""
        return -(-(self.model.vocab or 0) // self.degrees.tp)

    @property
    def replica_sequences(self) -> int:
        """Sequences of a replica, whose cache its ranks hold."""
        return self.workload.batch // self.degrees.dp

    @property
    def microbatches(self) -> int:
        """Parts in which a replica's sequences pass the pipeline.

        Where nothing is written: one without pipeline stages, else the most that divide the sequences, up to one per
        stage in decode, which fills the pipeline from one step to the next, and FILL per stage in prefill.
        """
        if self.execution.microbatches is not None:
            return self.execution.microbatches
        each = max(1, self.replica_sequences // self.execution.halves)
        return max(count for count in range(1, self.most_microbatches + 1) if each % count == 0)

    @property
    def most_microbatches(self) -> int:
        """The most that the rule makes."""
        stages = self.degrees.pp
        return stages if stages == 1 or self.workload.phase == "decode" else stages * FILL

    @property
    def sequences(self) -> int:
        """Sequences that a replica works on together: those of a microbatch, or of half of one."""
        return self.replica_sequences // (self.microbatches * self.execution.halves)

    @property
    def tokens(self) -> float:
        """Tokens a rank has in the attention part: its replica's, cut over cp; in decode whole ones, the last rank's
        filled up."""
        count = self.sequences * self.workload.tokens_per_sequence
        return -(-count // self.degrees.cp) if self.workload.phase == "decode" else count / self.degrees.cp

    @property
    def stream_tokens(self) -> float:
        """Tokens a rank has of the residual stream, which sequence parallelism cuts over tp, too."""
        return self.tokens / self.degrees.tp if self.execution.sequence_parallel else self.tokens

    @property
    def expert_tokens(self) -> float:
        """Tokens a rank routes in the expert part: split over the tp lanes on the general path, else all of them."""
        return self.tokens / self.degrees.tp if self.degrees.splits_tokens else self.tokens
