"""Which layers of an imported model have a window: a scenario says `window` and `full_every`."""

from __future__ import annotations

from simcluster.scenario.build import Wrong
from simcluster.scenario.document import Value
from simcluster.scenario.hf.forms import Heads, Llama, Qwen


def window(form: Heads) -> dict[str, Value]:
    """`window` and `full_every` of a form without mistakes; nothing where every layer sees all positions."""
    layers = sliding_layers(form)
    if form.sliding_window is None or not any(layers):
        return {}
    every = _full_every(layers)
    return {"window": form.sliding_window, **({"full_every": every} if every else {})}


def sliding_layers(form: Heads) -> list[bool]:
    """Whether each layer has the window: as listed, or as the family has it.

    A list tells for itself, but that of Llama, which has no window, is not read.  Qwen's windows begin at layer
    `max_window_layers`; Mistral, Mixtral and Phi-3 have them everywhere.
    """
    count = form.num_hidden_layers
    if isinstance(form, Llama):
        return [False] * count
    if form.layer_types is not None:
        return [kind == "sliding_attention" for kind in form.layer_types]
    if isinstance(form, Qwen):
        first = form.max_window_layers or 0
        return [bool(form.use_sliding_window) and layer >= first for layer in range(count)]
    return [form.sliding_window is not None] * count


def _full_every(layers: list[bool]) -> int | None:
    """k where every k-th layer alone has no window, 0 where all have one; None where it is otherwise."""
    if all(layers):
        return 0
    every = layers.index(False) + 1
    return every if layers == [layer % every != every - 1 for layer in range(len(layers))] else None


def window_mistakes(form: Heads) -> Wrong:
    """Lists of the wrong length, windows without a size, and orders of layers that a scenario cannot say."""
    if isinstance(form, Llama):
        return
    listed, count = form.layer_types, form.num_hidden_layers
    if listed is not None and len(listed) != count:
        yield "layer_types", f"lists {len(listed):,} layers, and num_hidden_layers is {count:,}"
        return
    if isinstance(form, Qwen) and listed is None and form.use_sliding_window and form.max_window_layers is None:
        yield "max_window_layers", "missing; use_sliding_window is true, and it says from which layer on"
        return
    layers = sliding_layers(form)
    if not any(layers):
        return
    if isinstance(form, Qwen) and not form.use_sliding_window:
        yield "layer_types", "lists sliding_attention, and use_sliding_window is not true; keep one of them"
    elif form.sliding_window is None:
        yield "sliding_window", "missing; there are layers with a window"
    if _full_every(layers) is None:
        key = "layer_types" if listed is not None else "max_window_layers"
        what = "layers with and without a window do not alternate evenly; a scenario can say that every k-th has none"
        yield key, what
