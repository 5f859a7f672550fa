"""What a check holds in place of student code: modules, functions and objects that live elsewhere.

    check → Subject / RemoteModule / RemoteObject → Channel → Peer

A `Peer` exchanges frames with a `Host`: over a socket (`process.WorkerProcess`), in this process
(`LocalPeer`, for the reference and the mistakes), or from a record (`oracle.ReplayPeer`). Everything
that comes back is rebuilt from bytes and checked here, whoever sent it.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from dlgrade import formula, wire
from dlgrade.backward import Attach, Graph
from dlgrade.display import printable
from dlgrade.error_reports import outcome_of
from dlgrade.errors import GraderFault
from dlgrade.module_layout import Entry, Layout
from dlgrade.outcome import CheckFailed, Violation
from dlgrade.peer import Header, Peer
from dlgrade.process import Deadline
from dlgrade.specs import Spec
from dlgrade.tree import Decoder, Encoder, replace_tensors


class Channel:
    """One conversation with a peer: request numbers, seeds, deadlines, and errors turned into outcomes."""

    def __init__(
        self,
        peer: Peer,
        *,
        stream: int,
        deadline: Deadline,
        drift: bool = False,
        limits: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.peer = peer
        self._limits = limits  # what confines the other side, for messages
        self.drift = drift  # measure how far float32 moves each result, for the reference's tolerance
        self.deadline = deadline
        self.modules: list[RemoteModule] = []
        self.dropped: list[int] = []
        self._stream = stream
        self._count = itertools.count()
        self._known_specs: set[int] = set()

    def ask(
        self,
        operation: str,
        encoder: Encoder | None = None,
        *,
        caps: wire.Caps = wire.ANSWER,
        deadline: Deadline | None = None,
        **fields: Any,
    ) -> Reply:
        """One request and its reply; a different secret seed goes with each.

        Raises:
            Outcome: the student's code raised, ran out of time or memory, or broke the protocol.
        """
        number = secrets.randbits(62)
        dropped, self.dropped = self.dropped, []
        header = {
            "id": number,
            "op": operation,
            "seed": formula.mix(self._stream, next(self._count)),
            "drop": dropped,
            **fields,
        }
        buffers = encoder.buffers if encoder else []
        deadline = deadline or self.deadline
        reply, out = self.peer.exchange(header, buffers, caps, deadline)
        if "error" in reply:
            raise outcome_of(reply["error"], deadline.doing, self._limits)
        if not self.drift:
            reply.pop("drift", None)  # a tolerance is the reference's to ask for, never the answer's
        decoder = Decoder(out, self._remote)
        value = decoder.decode(reply.get("ok"))
        return Reply(number, reply, value, decoder.tensors)

    def encoder(self) -> Encoder:
        return Encoder(self._special)

    def _special(self, value: Any, encoder: Encoder) -> Header | None:
        """Nodes for what only the other side can hold; a spec's fields go with its first mention."""
        if isinstance(value, RemoteModule | RemoteObject):
            return value._reference()
        if not isinstance(value, Spec):
            return None
        if value.key in self._known_specs:
            return {"spec": value.key}
        self._known_specs.add(value.key)
        return {
            "spec": value.key,
            "kind": type(value).__name__,
            "fields": encoder.encode(value.fields),
        }

    def _remote(self, node: Header, _decoder: Decoder) -> Any:
        number, class_name = node.get("h"), node.get("class")
        if type(number) is not int or not isinstance(class_name, str):
            raise Violation("a reply holds a handle without a number and a class")
        class_name = printable(class_name, 100)
        if "layout" in node:
            return RemoteModule(self, number, class_name, Layout.parse(node["layout"]))
        return RemoteObject(self, number, class_name)

    def call(
        self,
        target: str | Spec | RemoteObject | RemoteModule,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        method: str = "__call__",
        owner: RemoteModule | None = None,
        deadline: Deadline | None = None,
        drift: bool = False,
        times: int | None = None,
    ) -> Any:
        """Call a function by name, or a method of an object; gradients flow back through the result.

        `times` calls it so often with the same arguments, in one request, for a list of results.
        """
        grad = torch.is_grad_enabled()
        values = (*args, *kwargs.values())
        modules = ([owner] if owner else []) + [v for v in values if isinstance(v, RemoteModule)]
        for module in modules:
            module._push()
        encoder = self.encoder()
        named = isinstance(target, str)
        nodes = {
            "target": {"name": target} if named else {"object": encoder.encode(target), "method": method},
            "args": encoder.encode(tuple(args)),
            "kwargs": encoder.encode(dict(kwargs)),
        }
        inputs = [i for i, tensor in enumerate(encoder.tensors) if grad and tensor.requires_grad]
        doing = f"running {_spelled(target, method, args, kwargs)}"
        reply = self.ask(
            "call",
            encoder,
            caps=replace(wire.ANSWER, header_bytes=1 << 20, buffers=wire.ANSWER.buffers * (times or 1)),
            deadline=deadline or replace(self.deadline, doing=doing),
            **nodes,
            grad=grad,
            inputs=inputs,
            modules=[module._reference() for module in modules],
            drift=drift and not any(isinstance(v, Spec | RemoteObject | RemoteModule) for v in values),
            **({} if times is None else {"times": times}),
        )
        if times is not None and not (isinstance(reply.value, list) and len(reply.value) == times):
            raise Violation(f"{times} calls did not return so many results")
        if owner is None or len(modules) > 1:
            for module in self.modules:
                module._mark_stale()
        leaves = [encoder.tensors[i] for i in inputs] + [p for m in modules for p in m._anchors.values()]
        return self._attach(reply, leaves) if grad else reply.with_drift()

    def _attach(self, reply: Reply, leaves: list[torch.Tensor]) -> Any:
        """Tie the outputs that the other side can differentiate to the leaves of the call."""
        flags = reply.header.get("differentiable")
        if not isinstance(flags, list) or len(flags) != len(reply.tensors):
            raise Violation("a reply does not say which of its tensors have a gradient")
        tied = [
            t for t, flag in zip(reply.tensors, flags, strict=True) if flag is True and t.is_floating_point()
        ]
        if not tied or not any(leaf.requires_grad for leaf in leaves):
            return reply.with_drift()
        indices = [i for i, tensor in enumerate(reply.tensors) if any(tensor is other for other in tied)]
        graph = Graph(self, reply.number, indices, len(reply.tensors))
        results = Attach.apply(graph, tied, *leaves)
        swaps = {id(before): after for before, after in zip(tied, results, strict=True)}
        reply.tensors = [swaps.get(id(tensor), tensor) for tensor in reply.tensors]
        reply.value = replace_tensors(reply.value, swaps)
        return reply.with_drift()


@dataclass
class Reply:
    """A decoded reply: its value, and its tensors in order of appearance."""

    number: int
    header: Header
    value: Any
    tensors: list[torch.Tensor]

    def with_drift(self) -> Any:
        """The value; tensors of the reference carry how far float32 moved them from float64."""
        drift = self.header.get("drift")
        if isinstance(drift, list):
            for tensor, distance in zip(self.tensors, drift, strict=True):
                tensor.drift = float.fromhex(distance)  # type: ignore[attr-defined]  # a note of ours on the tensor
        return self.value


def _spelled(target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call as a student would write it, tensors and objects left out: SimpleCNN.forward(...)."""
    name = target
    if not isinstance(target, str):
        owner = getattr(target, "_class_name", type(target).__name__)
        name = f"{owner}.{'forward' if method == '__call__' else method}"
    shown = [repr(value) if isinstance(value, int | float) else "..." for value in args]
    shown += [f"{key}={value!r}" for key, value in kwargs.items() if isinstance(value, int | float)]
    return f"{name}({', '.join(shown)})"


class RemoteObject:
    """An object behind a handle: call it, call its methods, take its length, read an attribute."""

    def __init__(self, channel: Channel, number: int, class_name: str) -> None:
        self._channel = channel
        self._number = number
        self._class_name = class_name

    def _reference(self) -> Header:
        return {"h": self._number}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._method("__call__", *args, **kwargs)

    def __len__(self) -> int:
        length = self._method("__len__")
        if type(length) is not int or length < 0:
            raise CheckFailed(f"len() of the {self._class_name} is not a count")
        return length

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._method(name, *args, **kwargs)

    def _method(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._channel.call(self, args, kwargs, method=method)

    def __repr__(self) -> str:
        return f"<{self._class_name} of the submission>"


def read(target: RemoteObject | RemoteModule, name: str) -> Any:
    """An attribute of an object behind a handle."""
    return target._channel.ask("read", object=target._reference(), name=name).value


def repeated(target: RemoteObject | RemoteModule, times: int, *args: Any) -> list[Any]:
    """What so many calls with the same arguments return: one request, and random numbers run on."""
    owner = target if isinstance(target, RemoteModule) else None
    results: list[Any] = target._channel.call(target, args, {}, owner=owner, times=times)
    return results


class RemoteModule(nn.Module):
    """A module that lives on the other side, with parameters cached here.

    Parameters are pushed before each call where they changed (by content: `p.data` and fused
    optimizers do not move `_version`), and pulled again after any call that may have changed them.
    Buffers are fetched when asked for. Forward is the module's own call.
    """

    def __init__(self, channel: Channel, number: int, class_name: str, layout: Layout) -> None:
        super().__init__()
        self.training = layout.training
        self._channel = channel
        self._number = number
        self._class_name = class_name
        self._layout = layout
        self._cache: dict[str, nn.Parameter] = {}
        self._synced: dict[str, torch.Tensor] = {}
        self._layout_stale = False
        self._values_stale = True
        self._adopt(layout)
        channel.modules.append(self)

    def _reference(self) -> Header:
        return {"h": self._number}

    @property
    def layout(self) -> Layout:
        self._refresh()
        return self._layout

    @property
    def _anchors(self) -> dict[str, nn.Parameter]:
        """The parameters as leaves of the autograd graph, whether their values were fetched or not."""
        return self._cache

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._channel.call(self, args, kwargs, owner=self, drift=self._channel.drift)

    # --- parameters -------------------------------------------------------------------------------

    def _mark_stale(self) -> None:
        self._layout_stale = self._values_stale = True

    def _adopt(self, layout: Layout) -> None:
        """Keep the parameters whose place is unchanged, so that optimizers hold the same objects."""
        cache = {}
        for entry in layout.parameters:
            old = self._cache.get(entry.name)
            if old is None or old.shape != entry.shape or old.dtype != entry.dtype:
                old = nn.Parameter(torch.empty(entry.shape, dtype=entry.dtype), requires_grad=False)
            old.requires_grad_(entry.requires_grad and entry.dtype.is_floating_point)
            cache[entry.name] = old
        self._cache, self._layout = cache, layout
        self._synced = {name: value for name, value in self._synced.items() if name in cache}
        self.training = layout.training

    def _pull(self, *values: str) -> list[torch.Tensor]:
        reply = self._channel.ask("pull", caps=wire.STATE, module=self._reference(), values=list(values))
        self._adopt(Layout.parse(reply.header.get("layout")))
        self._layout_stale = False
        expected: list[Entry] = [entry for what in values for entry in getattr(self._layout, what)]
        if not isinstance(reply.value, list) or len(reply.value) != len(expected):
            raise Violation("a module's values are not as many as it lists")
        for entry, value in zip(expected, reply.value, strict=True):
            if not isinstance(value, torch.Tensor) or (value.shape, value.dtype) != (
                entry.shape,
                entry.dtype,
            ):
                raise Violation(f"the value of {entry.name} has another shape or dtype than listed")
        return reply.value

    def _refresh(self) -> None:
        if self._layout_stale:
            self._pull()

    def _fetch(self) -> None:
        if not self._values_stale:
            return
        values = self._pull("parameters")
        with torch.no_grad():
            for (name, parameter), value in zip(self._cache.items(), values, strict=True):
                parameter.copy_(value)
                self._synced[name] = value
        self._values_stale = False

    def _push(self) -> None:
        """Send the parameters whose content differs from what the other side has."""
        self._refresh()
        if self._values_stale:
            return
        changed = {
            name: parameter.detach()
            for name, parameter in self._cache.items()
            if not torch.equal(parameter.detach(), self._synced[name])
        }
        if changed:
            self._send(changed)

    def _send(self, values: Mapping[str, torch.Tensor], *, gradients: bool = False) -> None:
        encoder = self._channel.encoder()
        node = encoder.encode(dict(values))
        self._channel.ask(
            "push", encoder, caps=wire.STATE, module=self._reference(), values=node, gradients=gradients
        )
        if not gradients:
            for name in values.keys() & self._cache.keys():
                self._synced[name] = values[name].detach().to(self._cache[name].dtype, copy=True)

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        self._fetch()
        dot = prefix + "." if prefix else ""
        yield from ((dot + name, value) for name, value in self._cache.items())

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, torch.Tensor]]:
        self._push()
        values = self._pull("buffers")
        dot = prefix + "." if prefix else ""
        yield from ((dot + entry.name, v) for entry, v in zip(self._layout.buffers, values, strict=True))

    def get_parameter(self, target: str) -> nn.Parameter:
        return dict(self.named_parameters())[target]

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:  # type: ignore[override]  # torch declares overloads
        """Copies of all parameters and buffers, by name."""
        pairs = [*self.named_parameters(), *self.named_buffers()]
        return {name: value.detach().clone() for name, value in pairs}

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Give the module new values for the parameters and buffers named; the others stay."""
        self._refresh()
        self._send(state_dict)
        if self._cache.keys() <= state_dict.keys():
            self._values_stale = False  # every value is known here: nothing to pull
        with torch.no_grad():
            for name in self._cache.keys() & state_dict.keys():
                self._cache[name].copy_(state_dict[name])

    def set_gradients(self, gradients: Mapping[str, torch.Tensor]) -> None:
        """Write `.grad` of the named parameters, for an optimizer that lives beside the module."""
        self._refresh()
        self._send(gradients, gradients=True)

    # --- modes, dtypes, methods -------------------------------------------------------------------

    def train(self, mode: bool = True) -> RemoteModule:
        """Call the module's own `train(mode)`."""
        self._channel.ask("mode", module=self._reference(), training=mode)
        self.training = mode
        return self

    def invoke(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the module by name."""
        return self._channel.call(self, args, kwargs, method=method)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        raise GraderFault("a check converts a remote module by to(), double() or float() only")

    def double(self) -> RemoteModule:
        return self._convert("double")

    def float(self) -> RemoteModule:
        return self._convert("float")

    def to(self, *args: Any, **kwargs: Any) -> RemoteModule:
        return self._convert("to", *args, **kwargs)

    def _convert(self, method: str, *args: Any, **kwargs: Any) -> RemoteModule:
        self._push()
        self._channel.call(self, args, kwargs, method=method)
        self._mark_stale()
        return self

    def __repr__(self) -> str:
        return f"<module {self._class_name} of the submission>"


class Subject:
    """One namespace as a check sees it: `build` objects, call functions by name, read end states."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def build(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call `name(*args, **kwargs)` over there: a module or another object to hold, or plain values."""
        return self.call(name, *args, **kwargs)

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._channel.call(name, args, kwargs, drift=self._channel.drift)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.call(name, *args, **kwargs)

    def state(self, target: Spec | RemoteModule) -> dict[str, torch.Tensor]:
        """All parameters and buffers of a module or a toy, by name, as they are now over there."""
        if isinstance(target, RemoteModule):
            target._mark_stale()
            return target.state_dict()
        return self.method(target, "state_dict")  # type: ignore[no-any-return]  # the wire is untyped

    def method(self, target: Spec | RemoteObject | RemoteModule, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an object or of what a spec built."""
        return self._channel.call(target, args, kwargs, method=name)
