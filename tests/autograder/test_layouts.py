"""Giving an answer the reference's weights: what is matched, how, and what is refused as a guess."""

import math

import pytest
import torch

from dlgrade import layouts
from dlgrade.observation import recording
from dlgrade.outcome import Unmappable
from dlgrade.peer import LocalPeer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel, Subject

STACKED = ({"stacked": ["queries", "keys", "values"]},)

ATTENTION = """
import math
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, E, heads):
        super().__init__()
        self.heads = heads
        self.layers(E)

    def layers(self, E):
        self.queries, self.keys = nn.Linear(E, E), nn.Linear(E, E)
        self.values, self.fc_out = nn.Linear(E, E), nn.Linear(E, E)

    def projected(self, x):
        split = (*x.shape[:2], self.heads, -1)
        return [f(x).reshape(split).transpose(1, 2) for f in (self.queries, self.keys, self.values)]

    def out(self, x):
        return self.fc_out(x)

    def forward(self, x):
        q, k, v = self.projected(x)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))
"""

ANSWERS = {
    "other names, values first": """
class Answer(Attention):
    def layers(self, E):
        self.v, self.k, self.q, self.o = (nn.Linear(E, E) for _ in range(4))

    def projected(self, x):
        split = (*x.shape[:2], self.heads, -1)
        return [f(x).reshape(split).transpose(1, 2) for f in (self.q, self.k, self.v)]

    def out(self, x):
        return self.o(x)
""",
    "fused, one after another": """
class Answer(Attention):
    def layers(self, E):
        self.qkv, self.proj = nn.Linear(E, 3 * E), nn.Linear(E, E)

    def projected(self, x):
        split = (*x.shape[:2], self.heads, -1)
        return [part.reshape(split).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)]

    def out(self, x):
        return self.proj(x)
""",
    "fused, interleaved by head": """
class Answer(Attention):
    def layers(self, E):
        self.proj, self.qkv = nn.Linear(E, E), nn.Linear(E, 3 * E)

    def projected(self, x):
        N, T, E = x.shape
        return self.qkv(x).reshape(N, T, self.heads, 3, E // self.heads).permute(3, 0, 2, 1, 4)

    def out(self, x):
        return self.proj(x)
""",
    "fused, interleaved by feature": """
class Answer(Attention):
    def layers(self, E):
        self.kqv, self.proj = nn.Linear(E, 3 * E), nn.Linear(E, E)

    def projected(self, x):
        N, T, E = x.shape
        k, q, v = self.kqv(x).reshape(N, T, self.heads, E // self.heads, 3).permute(4, 0, 2, 1, 3)
        return q, k, v

    def out(self, x):
        return self.proj(x)
""",
    "one layer per head": """
class Head(nn.Module):
    def __init__(self, E, D):
        super().__init__()
        self.k, self.q, self.v = nn.Linear(E, D), nn.Linear(E, D), nn.Linear(E, D)

class Answer(Attention):
    def layers(self, E):
        self.split_heads = nn.ModuleList(Head(E, E // self.heads) for _ in range(self.heads))
        self.proj = nn.Linear(E, E)

    def projected(self, x):
        return [torch.stack([getattr(h, n)(x) for h in self.split_heads], 1) for n in "qkv"]

    def out(self, x):
        return self.proj(x)
""",
    "PyTorch's own": """
class Answer(nn.Module):
    def __init__(self, E, heads):
        super().__init__()
        self.inner = nn.MultiheadAttention(E, heads, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]
""",
}


def subject(source):
    return Subject(Channel(LocalPeer("layouts_test", source), stream=1, deadline=Deadline(60)))


def randomised(module):
    """Weights that are nowhere 0 or 1, the same for each call."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, value in module.state_dict().items():
        scale = 1 / math.sqrt(value.shape[-1]) if value.dim() > 1 else 0.3
        state[name] = scale * torch.randn(value.shape, generator=generator) + (value.dim() == 1)
    module.load_state_dict(state)
    return module


def transplanted(reference, answer, args, x, layouts_listed=(), probed=True):
    ours = randomised(reference.build("Attention" if len(args) == 2 else "Reference", *args))
    theirs = answer.build("Answer", *args)
    probe = layouts.Probe.of(ours, (x,)) if probed else None
    with recording() as seen:
        layouts.transplant(ours.state_dict(), theirs, what="Answer", layouts=layouts_listed, probe=probe)
    return ours, theirs, seen.path


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(("width", "heads"), [(12, 3), (8, 1), (6, 6)])
def test_attention_however_it_is_arranged(name, width, heads):
    """Each arrangement of the four projections is found by what it computes, and holds on other inputs."""
    x, fresh = torch.randn(2, 4, width), torch.randn(3, 5, width)
    answer = subject(ATTENTION + ANSWERS[name])
    ours, theirs, path = transplanted(subject(ATTENTION), answer, (width, heads), x, STACKED)
    torch.testing.assert_close(theirs(fresh), ours(fresh), rtol=1e-4, atol=1e-5)
    assert path == "by layout"


def test_same_shaped_layers_under_other_names_are_never_guessed():
    """Four square layers in unknown order have 24 arrangements; without a probe none is taken."""
    answer = subject(ATTENTION + ANSWERS["other names, values first"])
    with pytest.raises(Unmappable, match="v\\.weight"):
        transplanted(subject(ATTENTION), answer, (12, 3), torch.randn(2, 4, 12), probed=False)


def test_a_wrong_answer_under_other_names_has_no_arrangement():
    """Without the scale no arrangement reproduces the reference, so the property checks must decide."""
    wrong = (ATTENTION + ANSWERS["fused, one after another"]).replace("/ math.sqrt(q.shape[-1])", "")
    with pytest.raises(Unmappable):
        transplanted(subject(ATTENTION), subject(wrong), (12, 3), torch.randn(2, 4, 12), STACKED)


def test_a_wrong_answer_under_the_lessons_names_keeps_them():
    """Equal names and shapes say what is what: the answer gets the weights, and its value check fails."""
    wrong = ATTENTION.replace("/ math.sqrt(q.shape[-1])", "") + "\nAnswer = Attention\n"
    x = torch.randn(2, 4, 12)
    ours, theirs, path = transplanted(subject(ATTENTION), subject(wrong), (12, 3), x, STACKED)
    assert path == "by name"
    for name, value in ours.state_dict().items():
        assert torch.equal(theirs.state_dict()[name], value)
    assert not torch.allclose(theirs(x), ours(x), atol=1e-3)


def test_the_one_renamed_layer_is_the_one_left_over():
    """Three of four names match, so the fourth is no guess even without a probe."""
    answer = subject(ATTENTION.replace("fc_out", "out_proj") + "\nAnswer = Attention\n")
    x = torch.randn(2, 4, 12)
    ours, theirs, path = transplanted(subject(ATTENTION), answer, (12, 3), x, probed=False)
    torch.testing.assert_close(theirs(x), ours(x))
    assert path == "by layout"


PATCHES = """
import torch
from torch import nn
from torch.nn import functional as F

class Reference(nn.Module):
    def __init__(self, C, p, E):
        super().__init__()
        self.p, self.projection = p, nn.Linear(C * p * p, E)

    def forward(self, x):
        return self.projection(F.unfold(x, self.p, stride=self.p).transpose(1, 2))
"""


@pytest.mark.parametrize(
    "body",
    [
        """
        self.cut = nn.Conv2d(C, E, p, stride=p)

    def forward(self, x):
        return self.cut(x).flatten(2).transpose(1, 2)
""",
        """
        self.p, self.projection = p, nn.Linear(C * p * p, E)

    def forward(self, x):
        flat = F.unfold(x, self.p, stride=self.p).transpose(1, 2)
        last = flat.unflatten(-1, (x.shape[1], -1)).transpose(-1, -2).flatten(-2)
        return self.projection(last)
""",
    ],
    ids=["a convolution", "channels last"],
)
def test_a_projection_of_patches_in_another_form(body):
    """A patch-sized convolution is the Linear of the patches; channels last only moves its columns."""
    source = (
        PATCHES
        + f"\nclass Answer(nn.Module):\n    def __init__(self, C, p, E):\n        super().__init__(){body}"
    )
    x = torch.randn(2, 3, 8, 8)
    ours, theirs, path = transplanted(
        subject(PATCHES), subject(source), (3, 4, 5), x, ({"columns": ["projection"]},)
    )
    torch.testing.assert_close(theirs(x), ours(x), rtol=1e-4, atol=1e-5)
    assert path == "by layout"


NORMS = """
import torch
from torch import nn

class Reference(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(D, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))

    def forward(self, x):
        return self.inner(x)

class Answer(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.last, self.norm, self.first = nn.Linear(3, 2), nn.BatchNorm1d(3), nn.Linear(D, 3)
        self.register_buffer("notes", torch.zeros(5))

    def forward(self, x):
        return self.last(self.norm(self.first(x)))
"""


def test_layers_of_different_form_need_no_probe():
    """Each form occurs once, statistics included, so the order of definition does not matter."""
    source = NORMS.replace('self.register_buffer("notes", torch.zeros(5))', "")
    x = torch.randn(6, 5)
    ours, theirs, path = transplanted(subject(NORMS), subject(source), (5,), x, probed=False)
    torch.testing.assert_close(theirs.eval()(x), ours.eval()(x))
    assert path == "by layout"


def test_a_buffer_of_the_answers_own_stays_out_of_it():
    """An answer may keep a table of its own beside the reference's parameters."""
    own = NORMS.replace("nn.BatchNorm1d(3)", "nn.LayerNorm(3)")
    x = torch.randn(6, 5)
    ours, theirs, _ = transplanted(subject(own), subject(own), (5,), x, probed=False)
    torch.testing.assert_close(theirs(x), ours(x))


def test_missing_parameters_are_named():
    """The sentence lists what the answer has and what the lesson's module has."""
    source = NORMS.replace(
        "nn.Linear(3, 2), nn.BatchNorm1d(3)", "nn.Linear(3, 2, bias=False), nn.BatchNorm1d(3)"
    )
    with pytest.raises(Unmappable, match=r"yours are last\.weight \(2, 3\).*inner\.0\.weight \(3, 5\)"):
        transplanted(subject(NORMS), subject(source), (5,), torch.randn(6, 5))


def test_outputs_agree_by_value_shape_and_structure():
    """What a probe compares: tensors up to float error, in lists of the same length, never other types."""
    one = torch.ones(2)
    assert layouts._agree([one, one], (one, one + 1e-6))
    assert not layouts._agree([one], [one, one])
    assert not layouts._agree(one, torch.ones(2, 1))
    assert not layouts._agree(None, one)
    assert not layouts._agree(one * float("nan"), one)


def test_a_module_of_many_equal_layers_is_given_up():
    """The search is capped: nine equal layers have more orders than anyone would try."""
    source = """
from torch import nn

class Reference(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.a = nn.ModuleList(nn.Linear(D, D) for _ in range(9))

    def forward(self, x):
        for layer in self.a:
            x = layer(x).tanh()
        return x

class Answer(Reference):
    def __init__(self, D):
        nn.Module.__init__(self)
        self.b = nn.ModuleList(nn.Linear(D, D) for _ in range(9))

    def forward(self, x):
        for layer in reversed(self.b):
            x = layer(x).tanh()
        return x
"""
    with pytest.raises(Unmappable):
        transplanted(subject(source), subject(source), (3,), torch.randn(2, 3))


def test_the_order_of_definition_comes_first():
    """Deep copies of one layer under another name are matched in order at the first trial."""
    source = """
from torch import nn

class Reference(nn.Module):
    def __init__(self, D):
        super().__init__()
        self.a = nn.ModuleList(nn.Linear(D, D) for _ in range(9))

    def forward(self, x):
        for layer in self.a:
            x = layer(x).tanh()
        return x

class Answer(Reference):
    def __init__(self, D):
        nn.Module.__init__(self)
        self.b = nn.Sequential(*(nn.Linear(D, D) for _ in range(9)))

    def forward(self, x):
        for layer in self.b:
            x = layer(x).tanh()
        return x
"""
    x = torch.randn(2, 3)
    ours, theirs, _ = transplanted(subject(source), subject(source), (3,), x)
    torch.testing.assert_close(theirs(x), ours(x))
