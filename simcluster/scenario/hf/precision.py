"""The number types of an imported model: a config.json's dtype and quantization_config."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from simcluster.kernels import Precision
from simcluster.scenario.build import Wrong
from simcluster.scenario.document import Value
from simcluster.scenario.forms import Form

DTYPES: dict[str, Precision] = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
METHODS = ("fp8", "gptq", "awq", "mxfp4", "compressed-tensors", "modelopt")
INSTEAD = "or write model.precision beside hf"

_ATTENTION = re.compile(r"attn(\W*|.*o_proj\W*)$")
_EXPERTS = re.compile(r"(?<!shared_)experts\W*$")

Types = tuple[Precision, Precision | None]
"""What weights are stored in and computed in; None: in the dtype of the rest."""


class TensorForm(Form):
    """How one kind of tensor is quantised, in the words of compressed-tensors."""

    model_config = ConfigDict(extra="ignore")

    num_bits: Annotated[int, Field(ge=1, le=32)]
    type: Literal["int", "float"] = "int"
    strategy: str | None = None
    group_size: int | None = None


class GroupForm(Form):
    model_config = ConfigDict(extra="ignore")

    weights: TensorForm | None = None
    input_activations: TensorForm | None = None


class QuantizationForm(Form):
    model_config = ConfigDict(extra="ignore")

    quant_method: str
    bits: int | None = None
    weight_block_size: list[int] | None = None
    config_groups: dict[str, GroupForm] | None = None
    quant_algo: str | None = None
    kv_cache_scheme: TensorForm | None = None
    kv_cache_quant_algo: str | None = None
    modules_to_not_convert: list[str] | None = None
    ignore: list[str] | None = None
    exclude_modules: list[str] | None = None

    @property
    def kept(self) -> list[str]:
        """Modules left as they were; those of a vision tower are not the decoder's."""
        names = [*(self.modules_to_not_convert or ()), *(self.ignore or ()), *(self.exclude_modules or ())]
        return [name for name in names if "vis" not in name]


def precision(dtype: Precision, form: QuantizationForm | None, *, experts: bool) -> Value:
    """The model's precision: quantised weights and GEMMs, all else in `dtype`; embedding and head always.

    Tokens are sent to experts in fp8 where experts compute in it.  Where attention is kept in `dtype`, so are the MLP
    of dense layers and shared experts: a scenario has one type for all three.
    """
    if form is None:
        return dtype
    types = _types(form)
    assert types is not None
    stored, computed = types[0], types[1] or dtype
    rest, routed = _quantised(form)
    expert_types = (stored, computed) if routed else (dtype, dtype)
    weights, compute = (stored, computed) if rest else (dtype, dtype)
    tree: dict[str, Value] = {"weights": weights, "compute": compute, "attention": dtype}
    tree["kv_cache"] = _cache(form, dtype)
    tree["dispatch"] = "fp8" if experts and expert_types[1] in ("fp8", "fp8_block") else dtype
    if experts and expert_types != (weights, compute):
        tree |= {"expert_weights": expert_types[0], "expert_compute": expert_types[1]}
    return {**tree, "vocabulary": dtype}


def _quantised(form: QuantizationForm) -> tuple[bool, bool]:
    """Whether attention and MLPs are quantised, and whether routed experts are; MXFP4 files hold experts alone."""
    attention = any(_ATTENTION.search(name) for name in form.kept)
    routed = any(_EXPERTS.search(name) for name in form.kept)
    return not attention and form.quant_method != "mxfp4", not routed


def quantization_mistakes(form: QuantizationForm, *, experts: bool) -> Wrong:
    """What a scenario cannot say, or this reader does not know, by its key in quantization_config."""
    if form.quant_method not in METHODS:
        what = f"{form.quant_method!r:.60} is not known; known: {', '.join(METHODS)}; {INSTEAD}"
        yield "quant_method", what
    elif _types(form) is None:
        yield _key(form), f"says nothing that is known of {form.quant_method}; {INSTEAD}"
    rest, _ = _quantised(form)
    if not rest and not experts:
        yield "quant_method", f"leaves attention out and the model has no experts, so one type does not do; {INSTEAD}"
    if _cache(form, "bf16") is None:
        yield "kv_cache_scheme", f"is neither fp8 nor int8 nor nvfp4; {INSTEAD}"


def _key(form: QuantizationForm) -> str:
    keys = {"gptq": "bits", "awq": "bits", "modelopt": "quant_algo"}
    return keys.get(form.quant_method, "config_groups")


def _types(form: QuantizationForm) -> Types | None:
    """GPTQ and AWQ store weights alone; the others compute in what they store, as far as they say so.

    compressed-tensors, and ModelOpt where it names no algorithm, say it group by group, all alike.
    """
    match form.quant_method:
        case "fp8":
            fp8: Precision = "fp8_block" if form.weight_block_size else "fp8"
            return fp8, fp8
        case "gptq" | "awq":
            widths: dict[int | None, Types] = {4: ("int4", None), 8: ("int8", None)}
            return widths.get(form.bits)
        case "mxfp4":
            return "mxfp4", None
        case "modelopt" if form.quant_algo is not None:
            algorithms: dict[str, Types] = {"FP8": ("fp8", "fp8"), "NVFP4": ("nvfp4", "nvfp4")}
            return algorithms.get(form.quant_algo.upper())
        case _:
            found = {_group_types(group) for group in (form.config_groups or {}).values()}
            return found.pop() if len(found) == 1 else None


def _group_types(group: GroupForm) -> Types | None:
    """None where a group has no weights or a type unknown."""
    if group.weights is None or (stored := _number(group.weights)) is None:
        return None
    if group.input_activations is None:
        return stored, None
    inputs = _number(group.input_activations)
    wider = inputs in ("fp8", "fp8_block") and stored == "fp8_block"
    return None if inputs is None else (stored, stored if wider else inputs)


def _number(tensor: TensorForm) -> Precision | None:
    match tensor.type, tensor.num_bits:
        case "float", 8:
            return "fp8_block" if tensor.strategy == "block" else "fp8"
        case "float", 4:
            scales: dict[int | None, Precision] = {16: "nvfp4", 32: "mxfp4"}
            return scales.get(tensor.group_size)
        case "int", 8:
            return "int8"
        case "int", 4:
            return "int4"
        case _:
            return None


def _cache(form: QuantizationForm, dtype: Precision) -> Precision | None:
    if form.kv_cache_scheme is not None:
        return _number(form.kv_cache_scheme)
    if form.kv_cache_quant_algo is None:
        return dtype
    algorithms: dict[str, Precision] = {"FP8": "fp8", "INT8": "int8", "NVFP4": "nvfp4"}
    return algorithms.get(form.kv_cache_quant_algo.upper())
