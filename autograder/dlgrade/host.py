"""Runs requests against a namespace of student code: in the worker over a socket, in the checker directly.

One `Host` holds one namespace, the objects that stay behind handles, the autograd graphs that wait
for a backward pass, and the objects built from specs. In the worker it is the untrusted end of the
boundary, so nothing here is evidence; in the checker the same code runs the reference and the
mistakes, so that both sides of a comparison go the same way.
"""

from __future__ import annotations

import copy
import errno
import linecache
import random
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from dlgrade import elsewhere, refusals, specs, specs_text  # noqa: F401  a kind of spec is known once its module is imported
from dlgrade.tree import Buffers, Decoder, Encoder, Unsendable, replace_tensors

Header = dict[str, Any]

MAX_MESSAGE = 2000
MAX_FRAMES = 8
CONTAINERS = (Mapping, list, tuple)  # cross as what they hold, not as handles
GPU = Path("/dev/nvidiactl")  # seen only by a worker that was granted it


@dataclass
class _Graph:
    """What a backward pass needs: the outputs of a call, and the leaves it started from."""

    outputs: list[torch.Tensor]
    leaves: list[torch.Tensor]


class Host:
    """Answers requests; never raises for what the student's code does, but says so in the reply."""

    def __init__(self, name: str) -> None:
        self._module = types.ModuleType(name)
        self._file = f"{name}.py"
        self._objects: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}
        self._graphs: dict[int, _Graph] = {}
        self._specs: dict[int, Any] = {}
        self._from_elsewhere: set[int] = set()  # specs whose tensors play another device
        self._named: set[str] = set()  # in this request: "handle", "spec from elsewhere"
        self._operations: dict[str, Callable[[Header, Decoder, Encoder], Header]] = {
            "ping": lambda *_: {"ok": None},
            "load": self._load,
            "call": self._call,
            "backward": self._backward,
            "pull": self._pull,
            "push": self._push,
            "mode": self._mode,
            "read": self._read,
        }

    def answer(self, header: Header, buffers: Buffers) -> tuple[Header, Buffers]:
        """The reply to one request: {"id", "ok": ...} or {"id", "error": {...}}."""
        for key in header.get("drop", ()):
            self._graphs.pop(key, None)
        _reseed(header["seed"])
        self._named.clear()
        encoder = Encoder(self._handle)
        try:
            reply = self._operations[header["op"]](header, Decoder(buffers, self._object), encoder)
            return {"id": header["id"], **reply}, encoder.buffers
        except Unsendable as error:
            return {"id": header["id"], "error": {"kind": "unsendable", "message": str(error)}}, []
        except BaseException as error:  # SystemExit and KeyboardInterrupt of the student end nothing
            return {"id": header["id"], "error": self._describe(error)}, []

    # --- operations -------------------------------------------------------------------------------

    def _load(self, header: Header, _decoder: Decoder, _encoder: Encoder) -> Header:
        source = _decoder.decode(header["source"])
        self._module.__file__ = self._file
        sys.modules[self._module.__name__] = self._module  # dataclasses look their module up there
        linecache.cache[self._file] = (len(source), None, source.splitlines(keepends=True), self._file)
        exec(compile(source, self._file, "exec", dont_inherit=True), self._module.__dict__)
        return {"ok": None}

    def _call(self, header: Header, decoder: Decoder, encoder: Encoder) -> Header:
        function = self._target(header["target"], decoder)
        grad = bool(header["grad"])
        leaves: list[torch.Tensor] = []
        args, kwargs = decoder.decode(header["args"]), decoder.decode(header["kwargs"])
        if header.get("drift"):
            double = _drift_arguments(function, args, kwargs)
        if grad and header["inputs"]:
            with torch.enable_grad():  # the asker's mode, where it asks in this very process, may be another
                args, kwargs = _as_leaves(args, kwargs, decoder.tensors, set(header["inputs"]), leaves)
        for reference in header["modules"]:
            leaves += _parameters(self._object(reference))
        with torch.set_grad_enabled(grad), elsewhere.watching(self._may_meet_them(function)):
            if (times := header.get("times")) is None:
                result = function(*args, **kwargs)
                own = isinstance(function, type) and isinstance(result, CONTAINERS)  # class Vocab(dict)
                node = self._kept(result) if own else encoder.encode(result)
            else:
                node = {"l": [encoder.encode_copy(function(*args, **kwargs)) for _ in range(times)]}
        reply: Header = {"ok": node}
        if header.get("drift"):
            reply["drift"] = _drift(double, encoder.tensors, header["seed"])
        if grad:
            reply["differentiable"] = [bool(tensor.requires_grad) for tensor in encoder.tensors]
            self._graphs[header["id"]] = _Graph(encoder.tensors, leaves)
        return reply

    def _backward(self, header: Header, decoder: Decoder, encoder: Encoder) -> Header:
        graph = self._graphs[header["graph"]]
        gradients = decoder.decode(header["gradients"])
        used = [i for i, gradient in enumerate(gradients) if gradient is not None]
        wanted = [i for i in header["wanted"] if graph.leaves[i].requires_grad]
        found = torch.autograd.grad(
            [graph.outputs[i] for i in used],
            [graph.leaves[i] for i in wanted],
            [gradients[i].to(graph.outputs[i]) for i in used],
            allow_unused=True,
            retain_graph=True,
        )
        results = dict(zip(wanted, found, strict=True))
        return {"ok": encoder.encode([results.get(i) for i in header["wanted"]])}

    def _pull(self, header: Header, _decoder: Decoder, encoder: Encoder) -> Header:
        module = self._object(header["module"])
        named = {"parameters": module.named_parameters, "buffers": module.named_buffers}
        values = [value for what in header["values"] for _, value in named[what]()]
        return {"layout": layout(module), "ok": {"l": [encoder.encode(value) for value in values]}}

    def _push(self, header: Header, decoder: Decoder, _encoder: Encoder) -> Header:
        module = self._object(header["module"])
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        gradients = header.get("gradients", False)
        with torch.no_grad():
            for name, value in decoder.decode(header["values"]).items():
                if gradients:
                    own[name].grad = value.to(own[name])
                else:
                    own[name].copy_(value)
        return {"ok": None}

    def _mode(self, header: Header, _decoder: Decoder, _encoder: Encoder) -> Header:
        self._object(header["module"]).train(header["training"])
        return {"ok": None}

    def _read(self, header: Header, _decoder: Decoder, encoder: Encoder) -> Header:
        return {"ok": encoder.encode(getattr(self._object(header["object"]), header["name"]))}

    # --- objects ----------------------------------------------------------------------------------

    def _target(self, target: Header, decoder: Decoder) -> Callable[..., Any]:
        function: Callable[..., Any]
        if "name" in target:
            function = getattr(self._module, target["name"])
            return function
        owner = self._object(target["object"], decoder)
        function = owner if target["method"] == "__call__" else getattr(owner, target["method"])
        return function

    def _handle(self, value: Any, _encoder: Encoder) -> Header | None:
        """A node for what must stay here: modules and other objects, but no plain containers."""
        return None if isinstance(value, CONTAINERS) else self._kept(value)

    def _kept(self, value: Any) -> Header:
        number = self._numbers.setdefault(id(value), len(self._numbers) + 1)
        self._objects[number] = value  # kept alive, so its id() stays its own
        node: Header = {"h": number, "class": type(value).__name__[:100]}
        if isinstance(value, nn.Module):
            node["layout"] = layout(value)
        return node

    def _object(self, node: Header, decoder: Decoder | None = None) -> Any:
        """The object behind a handle, or the one built from a spec when it was first named."""
        if "h" in node:
            self._named.add("handle")
            return self._objects[node["h"]]
        key = node["spec"]
        if decoder is not None and key not in self._specs:
            fields = decoder.decode(node["fields"])
            if fields.get("elsewhere"):
                self._from_elsewhere.add(key)
            self._specs[key] = specs.build(node["kind"], fields)
        if key in self._from_elsewhere:
            self._named.add("spec from elsewhere")
        return self._specs[key]

    def _may_meet_them(self, function: Callable[..., Any]) -> bool:
        """Whether a call may come upon tensors from elsewhere: given now, or kept by an object since."""
        if not self._from_elsewhere:
            return False
        forward = isinstance(function, nn.Module)  # the check's own tensors go in, and they are here
        return "spec from elsewhere" in self._named or ("handle" in self._named and not forward)

    def _describe(self, error: BaseException) -> Header:
        """The student's exception: type, capped message, and the frames of their own file."""
        frames = [
            [frame.lineno or 0, frame.name[:100], (frame.line or "")[:200]]
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == self._file
        ]
        if isinstance(error, SyntaxError) and error.filename == self._file:
            frames.append([error.lineno or 0, "", (error.text or "").rstrip()[:200]])
        return {
            "kind": _kind(error),
            "type": type(error).__name__[:100],
            "message": _message(error) + (f"\n{refusal}" if (refusal := refusals.explain(error)) else ""),
            "frames": frames[-MAX_FRAMES:],
        }


def layout(module: nn.Module) -> Header:
    """Names, dtypes and shapes of a module's parameters and buffers; shared parameters count once.

    Raises:
        Unsendable: a parameter or buffer of a lazy layer, which has no shape before its first call.
    """
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(value):
            raise Unsendable(
                f"{name} has no shape before the first call; give the layer its sizes, or call it in __init__"
            )
    parameters = [
        [name, str(value.dtype).removeprefix("torch."), list(value.shape), bool(value.requires_grad)]
        for name, value in module.named_parameters()
    ]
    buffers = [
        [name, str(value.dtype).removeprefix("torch."), list(value.shape)]
        for name, value in module.named_buffers()
    ]
    return {"parameters": parameters, "buffers": buffers, "training": bool(module.training)}


def _parameters(value: Any) -> list[torch.Tensor]:
    return list(value.parameters()) if isinstance(value, nn.Module) else []


def _as_leaves(
    args: Any,
    kwargs: Any,
    tensors: list[torch.Tensor],
    wanted: set[int],
    leaves: list[torch.Tensor],
) -> tuple[Any, Any]:
    """Replace the wanted tensors by clones of new leaves: an in-place ReLU may then write to them."""
    clones: dict[int, torch.Tensor] = {}
    for index, tensor in enumerate(tensors):
        if index in wanted:
            leaf = tensor.requires_grad_()
            leaves.append(leaf)
            clones[id(tensor)] = leaf.clone()
    return replace_tensors(args, clones), replace_tensors(kwargs, clones)


def _reseed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if GPU.exists():
        torch.manual_seed(seed)
    else:  # what manual_seed notes for a CUDA that starts later is a stack trace: 2 ms a request
        torch.default_generator.manual_seed(seed)


def _drift_arguments(function: Callable[..., Any], args: Any, kwargs: Any) -> Callable[[], Any]:
    """The same call in float64, on a copy made before the call can change anything."""
    double = copy.deepcopy(function).double() if isinstance(function, nn.Module) else function
    args, kwargs = _to_double(args), _to_double(kwargs)
    return lambda: double(*args, **kwargs)


def _drift(double: Callable[[], Any], outputs: list[torch.Tensor], seed: int) -> list[Any]:
    """Largest distance of each output from its float64 counterpart, as hexadecimal text."""
    _reseed(seed)
    encoder = Encoder(lambda value, _encoder: None if isinstance(value, CONTAINERS) else {"h": 0})
    with torch.no_grad():
        encoder.encode(double())
    pairs = zip(outputs, encoder.tensors, strict=True)
    return [float((ours.detach().double() - exact.double()).abs().max()).hex() for ours, exact in pairs]


def _to_double(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().double() if value.is_floating_point() else value.detach().clone()
    if isinstance(value, list | tuple):
        return type(value)(_to_double(item) for item in value)
    if isinstance(value, dict):
        return {key: _to_double(item) for key, item in value.items()}
    return copy.deepcopy(value) if isinstance(value, np.ndarray | nn.Module) else value


_LIMIT_REACHED = {
    errno.ENOMEM: "memory",
    errno.ENOSPC: "scratch",
    errno.EDQUOT: "scratch",
    errno.EFBIG: "scratch",
    errno.EMFILE: "files",
}


def _kind(error: BaseException) -> str:
    """Which limit an exception tells of, if any; else the student's code `raised`."""
    if isinstance(error, MemoryError) or "can't allocate memory" in _message(error):
        return "memory"
    if isinstance(error, RuntimeError) and "can't start new thread" in _message(error):
        return "threads"
    return _LIMIT_REACHED.get(getattr(error, "errno", None) or 0, "raised")


def _message(error: BaseException) -> str:
    try:
        return str(error)[:MAX_MESSAGE]
    except BaseException:  # an exception may raise in its own __str__
        return "(its message cannot be shown)"
