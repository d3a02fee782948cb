"""A model from a Hugging Face config.json, as the same mapping a scenario would write out."""

from __future__ import annotations

import json
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.kernels import Precision
from simcluster.scenario.document import Document, Value
from simcluster.scenario.document import Path as KeyPath
from simcluster.scenario.hf.forms import FAMILIES, DeepSeek, Experts
from simcluster.scenario.hf.precision import DTYPES, INSTEAD, QuantizationForm, precision, quantization_mistakes
from simcluster.scenario.hf.shape import shape, shape_mistakes
from simcluster.scenario.validation import validate

LARGEST_FILE = 4_000_000
"""Bytes of a config.json that is read; the largest known has a few hundred thousand."""

LONGEST_NUMBER = 100
"""Digits of the longest whole number that is looked at."""

MOST_TOLD = 20
"""Mistakes of a file that are told one by one."""

OUTER = ("dtype", "torch_dtype", "quantization_config", "compression_config", "tie_word_embeddings")
"""Keys that a multimodal model's file may write outside its text_config for the whole of it."""

Tree = dict[str, Value]


def import_model(tree: Tree, origin: str) -> Tree:
    """`{hf: FILE, …}` written out: the file's model under the name of its type, and every other key as it stands.

    FILE is relative to the folder of `origin`, the scenario's file.  InputError names the file and the key of each
    mistake.  A precision written beside `hf` stands for the file's, which is then not read.
    """
    name = tree["hf"]
    if not isinstance(name, str):
        raise _refusal([f"expected the path of a config.json, got {name!r:.40}"])
    try:
        root = read_config(Path(origin).parent / name)
    except ValueError as error:
        raise _refusal([f"{name:.200}: {error}"]) from None
    reader = _Reader(root)
    imported = reader.model(with_precision="precision" not in tree)
    if reader.mistakes:
        told = list(dict.fromkeys(reader.mistakes))
        more = [f"and {len(told) - MOST_TOLD:,} more mistakes"] if len(told) > MOST_TOLD else []
        raise _refusal([f"{name:.200}: {mistake}" for mistake in told[:MOST_TOLD] + more])
    return {**imported, **{key: value for key, value in tree.items() if key != "hf"}}


def _refusal(wrong: list[str]) -> InputError:
    return InputError([Mistake(what=what, path="model.hf") for what in wrong])


def read_config(path: Path) -> Tree:
    """The JSON object in a file; ValueError says what is wrong with it."""
    try:
        if path.is_dir():
            raise ValueError(f"is a folder; write {path.name or path}/config.json")
        if not path.is_file():
            raise ValueError("is no file that can be read")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"is larger than {LARGEST_FILE:,} bytes; no config.json is")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    try:
        root = json.loads(text, parse_int=_whole, parse_constant=_finite, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(root, dict):
        raise ValueError("is no JSON object with model_type, hidden_size and so on")
    return root


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"{digits[:20]}… has {len(digits):,} digits; no number of a model has")
    return int(digits)


def _finite(constant: str) -> float:
    raise ValueError(f"{constant} is not a finite number")


def _once(pairs: list[tuple[str, Value]]) -> Tree:
    """An object of which every key is written once."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice:.60}: written twice; keep one")
    return tree


class _Reader:
    """One config.json on its way to a mapping, and its mistakes as `key: what is wrong`."""

    def __init__(self, root: Tree) -> None:
        self.root = root
        self.mistakes: list[str] = []

    def model(self, *, with_precision: bool) -> Tree:
        """The whole mapping; of no use where there are mistakes."""
        base, tree = self._decoder()
        kind = tree.get("model_type")
        if not isinstance(kind, str) or kind not in FAMILIES:
            known = ", ".join(FAMILIES)
            what = f"{kind!r:.60} cannot be imported" if kind is not None else "missing"
            self._wrong((*base, "model_type"), f"{what}; known: {known}")
            return {}
        document = Document(root=tree, origin="")
        form, mistakes = validate(document, base, tree, FAMILIES[kind])
        self.mistakes += map(str, mistakes)
        imported: Tree = {"name": kind}
        if form is not None:
            wrong = list(shape_mistakes(form))
            for key, what in wrong:
                self._wrong((*base, key), what)
            imported |= {} if wrong else shape(form)
        if with_precision:
            imported["precision"] = self._precision(tree, experts=issubclass(FAMILIES[kind], Experts | DeepSeek))
        return imported

    def _decoder(self) -> tuple[KeyPath, Tree]:
        """The object that describes the decoder, and where: a multimodal model's is its text_config."""
        inner, kind = self.root.get("text_config"), self.root.get("model_type")
        if not isinstance(inner, dict) or (isinstance(kind, str) and kind in FAMILIES):
            return (), self.root
        outer = {key: self.root[key] for key in OUTER if key in self.root and inner.get(key) is None}
        return ("text_config",), {**inner, **outer}

    def _precision(self, tree: Tree, *, experts: bool) -> Value:
        """Without a dtype the file means bf16, which is what serving engines take."""
        dtype: Precision = "bf16"
        for key in ("torch_dtype", "dtype"):
            written = tree.get(key)
            if written is None:
                continue
            found = DTYPES.get(written.removeprefix("torch.")) if isinstance(written, str) else None
            if found is None:
                self._wrong((key,), f"{written!r:.40} is not one of {', '.join(DTYPES)}; {INSTEAD}")
            dtype = found or dtype
        key = "quantization_config" if tree.get("quantization_config") is not None else "compression_config"
        written = tree.get(key)
        if written is None:
            return precision(dtype, None, experts=experts)
        document = Document(root=tree, origin="")
        form, mistakes = validate(document, (key,), written, QuantizationForm)
        self.mistakes += map(str, mistakes)
        wrong = [] if form is None else list(quantization_mistakes(form, experts=experts))
        for part, what in wrong:
            self._wrong((key, part), what)
        return None if form is None or wrong else precision(dtype, form, experts=experts)

    def _wrong(self, path: KeyPath, what: str) -> None:
        self.mistakes.append(str(Document(root=None, origin="").mistake(path, what)))
