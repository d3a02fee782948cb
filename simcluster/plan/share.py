"""One rank's share of a model and its work: how wide its shards are, how many tokens and sequences it sees."""

from __future__ import annotations

from dataclasses import dataclass

from simcluster.model.transformer import Model, Moe
from simcluster.model.workload import Workload
from simcluster.plan import redundancy, routing
from simcluster.plan.degrees import Degrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one rank holds and does.

    Degrees divide what they cut, so every rank's share is equal but for the token copies that its experts receive.
    """

    model: Model
    degrees: Degrees
    workload: Workload

    @property
    def layers(self) -> int:
        return self.model.layers // self.degrees.pp

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
        load = self.workload.expert_load
        return tuple(load.get(expert, 1.0) for expert in range(self.model.moe.experts if self.model.moe else 0))

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
            workload.expert_load or workload.redundant_experts or workload.drawn_by is not None
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
        return self.model.moe_layers // self.degrees.pp

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
    def sequences(self) -> int:
        """Sequences of a replica, all of which its tensor ranks work on together."""
        return self.workload.batch // self.degrees.dp

    @property
    def tokens(self) -> float:
        """Tokens a rank has in the attention part: the replica's, cut over cp."""
        return self.sequences * self.workload.tokens_per_sequence / self.degrees.cp

    @property
    def expert_tokens(self) -> float:
        """Tokens a rank routes in the expert part: split over the tp lanes on the general path, else all of them."""
        return self.tokens / self.degrees.tp if self.degrees.splits_tokens else self.tokens


def mistakes(model: Model, degrees: Degrees, workload: Workload) -> tuple[tuple[str, str], ...]:
    """Everything a plan cuts that does not divide, as (scenario path, what is wrong; what would fit)."""
    cuts = [
        ("plan.tp", "tp", degrees.tp, "the model's", model.heads, "heads"),
        ("plan.pp", "pp", degrees.pp, "the model's", model.layers, "layers"),
    ]
    if model.dense is not None:
        cuts.append(("plan.tp", "tp", degrees.tp, "the dense layers' width", model.dense.hidden, "channels"))
    if isinstance(model.ffn, Moe):
        if not workload.redundant_experts:
            cuts.append(("plan.ep", "ep", degrees.ep, "the model's", model.ffn.experts, "experts"))
        cuts.append(("plan.etp", "etp", degrees.etp, "the expert width", model.ffn.expert.hidden, "channels"))
        if model.ffn.shared is not None and not degrees.splits_tokens:
            cuts.append(
                (
                    "plan.tp",
                    "tp",
                    degrees.tp,
                    "the shared experts' width",
                    model.ffn.shared.hidden,
                    "channels",
                )
            )
    else:
        cuts.append(("plan.tp", "tp", degrees.tp, "the MLP width", model.ffn.hidden, "channels"))
    found = [
        (
            path,
            f"{axis} {degree} does not divide {whose} {total:,} {what}; use {axis}: {_near(total, degree)}",
        )
        for path, axis, degree, whose, total, what in cuts
        if total % degree
    ]
    if model.moe is not None and workload.redundant_experts:
        wrong = redundancy.mistake(model.moe.experts, degrees.ep, workload.redundant_experts)
        found += [] if wrong is None else [("workload.redundant_experts", wrong)]
    if model.moe is None and degrees.ep > 1:
        found.append(("plan.ep", f"ep is {degrees.ep}, but the model has no experts; use ep: 1"))
    if model.kv_heads % degrees.tp and degrees.tp % model.kv_heads:
        fits = _near(model.kv_heads, degrees.tp)
        found.append(("plan.tp", f"tp {degrees.tp} and {model.kv_heads} kv_heads do not divide; use tp: {fits}"))
    if workload.batch % degrees.dp:
        lower = workload.batch // degrees.dp * degrees.dp
        fits = f"{lower} or {lower + degrees.dp}" if lower else f"{degrees.dp}"
        found.append(
            (
                "workload.batch",
                f"{workload.batch} sequences do not divide over dp {degrees.dp} replicas; use {fits}",
            )
        )
    return tuple(found)


def _near(total: int, wanted: int) -> str:
    """The divisors of `total` next to `wanted`, below and above."""
    divisors = [d for d in range(1, min(total, 4 * wanted) + 1) if total % d == 0]
    below, above = [d for d in divisors if d < wanted], [d for d in divisors if d > wanted]
    return " or ".join(str(d) for d in below[-1:] + above[:1])
