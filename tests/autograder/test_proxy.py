"""The proxy against the same module called directly: outputs, gradients, modes, parameters, training."""

import pytest
import torch
from torch import nn

from dlgrade.errors import GraderFault
from dlgrade.module_layout import Layout
from dlgrade.outcome import CheckFailed, StudentRaised, Violation
from dlgrade.peer import LocalPeer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel, RemoteModule, RemoteObject, Subject, read, repeated
from dlgrade.specs import Batches, Image, Optim, Steps, Toy

SOURCE = '''
import random
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.fc = nn.Linear(5, classes)
        self.norm = nn.BatchNorm1d(classes)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return torch.relu_(self.norm(self.fc(x)))


class InPlace(nn.Module):
    def forward(self, x):
        return x.mul_(2).relu_()


class Listed(nn.Module):
    """Keeps its weights in a plain list beside the registered ones."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        self.cells = [self.linear.weight]

    def forward(self, x):
        return x @ self.cells[0].T


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


class Several(nn.Module):
    def forward(self, x, scale=1.0):
        return {"twice": 2 * x, "ids": torch.arange(3), "pair": (x * scale, [x.detach() * 3])}


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.LazyLinear(2)


class Vocabulary:
    size = 3

    def __init__(self, text):
        self.text = text

    def __len__(self):
        return len(self.text)

    def encode(self, text):
        return torch.tensor([self.text.index(c) for c in text])


class Index(dict):
    def __init__(self, text):
        super().__init__((c, i) for i, c in enumerate(text))

    def encode(self, text):
        return torch.tensor([self[c] for c in text])


def freeze(model):
    for p in model.fc.parameters():
        p.requires_grad = False


def nudge(model):
    with torch.no_grad():
        model.fc.bias += 1


def product(a, b):
    return a * b


def noise():
    return float(torch.rand(())), random.random(), float(np.random.rand())


def counted():
    total = torch.zeros(2)

    def call(x):
        total.add_(1)
        return total, torch.rand(())

    return call


def overwrite(x):
    x.zero_()
    return x


def train(model, batches, optimizer):
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def side(image):
    return image.size[0]


def fail():
    raise ValueError("not like this")


def leave():
    raise SystemExit(0)


def mute():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError
    raise Mute()


def complex_result():
    return torch.ones(2, dtype=torch.complex64)
'''


@pytest.fixture
def subject():
    return Subject(Channel(LocalPeer("proxied", SOURCE), stream=3, deadline=Deadline(10)))


@pytest.fixture(scope="module")
def direct():
    """The same source in this namespace, without a proxy."""
    namespace = {"__name__": "direct"}
    exec(SOURCE, namespace)
    return namespace


def twin(module: RemoteModule, direct_class, *args) -> nn.Module:
    """A direct copy with the remote module's values."""
    copy = direct_class(*args)
    copy.load_state_dict(module.state_dict(), strict=False)
    return copy


def test_forward_and_gradients_equal_those_of_the_module_itself(subject, direct):
    """Outputs and the gradients of input and parameters are bitwise those of a direct call."""
    remote = subject.build("Net", 4)
    local = twin(remote, direct["Net"], 4)
    x = torch.randn(6, 5)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, out = local(mine), remote(theirs)
    assert torch.equal(out, ours)
    weights = torch.randn(6, 4)
    expected = torch.autograd.grad((ours * weights).sum(), [mine, *local.parameters()], allow_unused=True)
    found = torch.autograd.grad((out * weights).sum(), [theirs, *remote.parameters()], allow_unused=True)
    for one, other in zip(expected, found, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_an_unused_parameter_has_no_gradient(subject):
    """None comes back, not zeros: `unused` takes no part in the forward pass."""
    remote = subject.build("Net")
    remote(torch.randn(4, 5)).sum().backward()
    gradients = {name: p.grad for name, p in remote.named_parameters()}
    assert gradients["unused"] is None
    assert gradients["fc.weight"] is not None


def test_several_backward_passes_go_through_one_forward(subject):
    """The other side keeps its graph, as receptive fields and causality need it to."""
    remote = subject.build("Net").eval()
    x = torch.randn(3, 5, requires_grad=True)
    out = remote(x)
    rows = [torch.autograd.grad(out[i].sum(), x, retain_graph=True)[0] for i in range(3)]
    for i, gradient in enumerate(rows):
        assert gradient[[j for j in range(3) if j != i]].abs().max() == 0


def test_a_graph_is_dropped_once_its_result_is_gone(subject):
    """Collected results are reported with the next request, so the worker's memory does not grow."""
    remote = subject.build("Net")
    host = subject._channel.peer._host
    for _ in range(5):
        remote(torch.randn(4, 5)).sum()
    remote.eval()
    assert len(host._graphs) <= 1


def test_an_in_place_operation_on_the_input_is_allowed(subject):
    """The worker gets clones of leaves, so `x.mul_(2)` works and our input keeps its values."""
    remote = subject.build("InPlace")
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    remote(x).sum().backward()
    assert torch.equal(x.detach(), torch.tensor([1.0, -2.0]))
    assert torch.equal(x.grad, torch.tensor([2.0, 0.0]))


def test_weights_in_a_plain_list_follow_the_proxys_parameters(subject):
    """Pushed values are copied into the module's own tensors, so aliases see them too."""
    remote = subject.build("Listed")
    with torch.no_grad():
        next(iter(remote.parameters())).copy_(torch.eye(2) * 3)
    x = torch.randn(4, 2)
    assert torch.allclose(remote(x), 3 * x)


def test_shared_parameters_count_once_and_get_the_sum_of_gradients(subject, direct):
    """A tied weight is one parameter, as in the module itself."""
    remote = subject.build("Tied")
    assert [name for name, _ in remote.named_parameters()] == ["first.weight"]
    local = twin(remote, direct["Tied"])
    x = torch.randn(2, 3)
    local(x).sum().backward()
    remote(x).sum().backward()
    assert torch.equal(next(iter(remote.parameters())).grad, local.first.weight.grad)


def test_results_in_trees_keep_their_shape_and_their_gradients(subject):
    """Dicts, tuples and lists cross; integer and detached tensors carry no gradient."""
    x = torch.randn(3, requires_grad=True)
    out = subject.build("Several")(x, scale=4.0)
    assert list(out) == ["twice", "ids", "pair"]
    assert out["twice"].requires_grad
    assert not out["ids"].requires_grad
    assert not out["pair"][1][0].requires_grad
    (out["twice"].sum() + out["pair"][0].sum()).backward()
    assert torch.equal(x.grad, torch.full((3,), 6.0))


def test_modes_and_buffers_are_the_modules_own(subject):
    """`eval()` and `train()` reach the module, and buffers are fetched as they are now."""
    remote = subject.build("Net")
    x = torch.randn(8, 5)
    before = dict(remote.named_buffers())["norm.running_mean"]
    remote(x)
    after = dict(remote.named_buffers())["norm.running_mean"]
    assert not torch.equal(before, after)
    remote.eval()
    assert torch.equal(remote(x), remote(x))
    assert torch.equal(dict(remote.named_buffers())["norm.running_mean"], after)


def test_training_through_the_proxy_follows_direct_training(subject, direct):
    """Ten steps of an optimizer over the proxy's parameters end where direct training ends."""
    remote = subject.build("Net", 4)
    local = twin(remote, direct["Net"], 4)
    pairs = [(m, torch.optim.Adam(m.parameters(), lr=0.05)) for m in (local, remote)]
    x, y = torch.randn(16, 5), torch.randint(0, 4, (16,))
    for _ in range(10):
        for model, optimizer in pairs:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    for name, value in local.state_dict().items():
        assert torch.allclose(remote.state_dict()[name], value, atol=1e-6), name


def test_a_change_that_moves_no_version_counter_is_still_pushed(subject):
    """`p.data` does not move `_version`; content is compared instead."""
    remote = subject.build("Listed")
    parameter = next(iter(remote.parameters()))
    parameter.data.zero_()
    assert remote(torch.ones(1, 2)).abs().max() == 0


def test_changes_made_over_there_are_pulled(subject):
    """After a call that was given the handle, values and requires_grad are fetched again."""
    remote = subject.build("Net")
    before = remote.get_parameter("fc.bias").detach().clone()
    subject.nudge(remote)
    assert torch.equal(remote.get_parameter("fc.bias"), before + 1)
    subject.freeze(remote)
    assert not remote.get_parameter("fc.weight").requires_grad
    assert remote.get_parameter("norm.weight").requires_grad


def test_conversion_to_double_is_the_modules_own(subject):
    """`double()` converts the worker's module, batch norm included."""
    remote = subject.build("Net").double()
    out = remote(torch.randn(4, 5, dtype=torch.float64))
    assert out.dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in remote.parameters())


def test_every_request_has_another_seed_and_a_run_repeats_them(subject):
    """Python, NumPy and torch draw differently from call to call, and the same for one stream."""
    first, second = subject.noise(), subject.noise()
    assert all(a != b for a, b in zip(first, second, strict=True))
    again = Subject(Channel(LocalPeer("proxied", SOURCE), stream=3, deadline=Deadline(10)))
    assert again.noise() == first


def test_inputs_are_copies(subject):
    """What the answer does to its input does not reach the checker's."""
    x = torch.ones(3)
    assert subject.overwrite(x).abs().max() == 0
    assert torch.equal(x, torch.ones(3))


def test_repeated_calls_are_one_request_with_a_result_each(subject):
    """Random numbers run on from call to call; a result that is written over later stays what it was."""
    noisy = repeated(subject.build("counted"), 5, torch.zeros(2))
    assert len({float(drawn) for _, drawn in noisy}) == 5
    assert [count[0].item() for count, _ in noisy] == [1, 2, 3, 4, 5]
    module = subject.build("Net").eval()
    once, again = repeated(module, 2, torch.ones(4, 5))
    torch.testing.assert_close(once, module(torch.ones(4, 5)))
    torch.testing.assert_close(again, once)


def test_objects_stay_behind_handles(subject):
    """Methods, len() and attributes work on an object that never crosses."""
    vocabulary = subject.build("Vocabulary", "abc")
    assert isinstance(vocabulary, RemoteObject)
    assert len(vocabulary) == 3
    assert torch.equal(vocabulary.encode("cab"), torch.tensor([2, 0, 1]))
    assert read(vocabulary, "size") == 3


def test_an_object_of_a_class_derived_from_a_container_keeps_its_methods(subject):
    """What a class of the submission builds stays there, also where it is a dict or a list besides."""
    index = subject.build("Index", "abc")
    assert isinstance(index, RemoteObject)
    assert len(index) == 3
    assert torch.equal(index.encode("cab"), torch.tensor([2, 0, 1]))


def test_specs_are_built_once_and_read_back(subject, direct):
    """Toy, batches and optimizer end in the state that the same training gives here."""
    toy = Toy(("Linear", 5, 3), seed=9)
    x, y = torch.randn(10, 5, dtype=torch.float64), torch.randint(0, 3, (10,))
    batches, optimizer = Batches(x, y, batch_size=4), Optim("SGD", of=toy, lr=0.1)
    start = {k: v.clone() for k, v in Toy.build(**toy.fields).state_dict().items()}
    subject.train(toy, batches, optimizer)
    subject.train(toy, batches, optimizer)
    model = Toy.build(**toy.fields)
    for _ in range(2):
        direct["train"](model, Batches.build(**batches.fields), torch.optim.SGD(model.parameters(), lr=0.1))
    found = subject.state(toy)
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    assert not torch.equal(found["0.weight"], start["0.weight"])
    assert subject.side(Image(torch.zeros(4, 6, 3, dtype=torch.uint8))) == 6


def test_steps_train_as_a_loop_in_the_check_would(subject):
    """Twenty steps in one request leave the same parameters and logits, and move both."""
    inside, outside = (subject.build("Net", 3) for _ in range(2))
    outside.load_state_dict(start := inside.state_dict())
    x, y = torch.randn(6, 5), torch.randint(0, 3, (6,))
    subject.method(Steps(of=inside, x=x, y=y, optimizer="SGD", lr=0.1), "run", 20)
    optimizer = torch.optim.SGD(outside.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(outside(x), y).backward()
        optimizer.step()
    moved = inside.state_dict()
    for name, value in outside.state_dict().items():
        assert torch.allclose(moved[name], value, atol=1e-6), name
    assert not torch.equal(moved["fc.weight"], start["fc.weight"])
    assert torch.allclose(inside(x), outside(x), atol=1e-6)


def test_the_students_exception_arrives_with_their_frames_only(subject):
    """Type, message and the lines of the student's own file; nothing of the kit's."""
    with pytest.raises(StudentRaised) as caught:
        subject.fail()
    assert caught.value.message == "ValueError: not like this"
    assert [(f.function, f.text) for f in caught.value.frames] == [
        ("fail", 'raise ValueError("not like this")')
    ]


@pytest.mark.parametrize(("name", "message"), [("leave", "SystemExit: 0"), ("mute", "cannot be shown")])
def test_exceptions_that_slip_past_handlers_are_reported(subject, name, message):
    """SystemExit, and exceptions that raise while being printed, are outcomes like any other."""
    with pytest.raises(StudentRaised, match=message):
        subject.call(name)


def test_an_absent_name_is_the_students_attribute_error(subject):
    """Asking for what is not defined ends the check, not the grader."""
    with pytest.raises(StudentRaised, match="has no attribute 'absent'"):
        subject.absent()


def test_a_result_that_cannot_cross_fails_the_check_with_the_reason(subject):
    """A complex tensor is named as the reason; nothing else is affected."""
    with pytest.raises(CheckFailed, match="dtype complex64"):
        subject.complex_result()
    assert subject.product(2, 3) == 6


def test_a_lazy_layer_that_was_never_called_is_told_by_name(subject):
    """It has no shape yet, and torch's own message speaks of load_state_dict."""
    with pytest.raises(CheckFailed, match=r"fc\.weight has no shape before the first call"):
        subject.build("Lazy")


def test_a_second_derivative_is_refused_in_a_sentence(subject):
    """Double backward does not cross; the author of the check is told so."""
    x = torch.randn(2, 5, requires_grad=True)
    out = subject.build("Net").eval()(x)
    with pytest.raises(GraderFault, match="second derivative"):
        torch.autograd.grad(out.sum(), x, create_graph=True)


class ForgingPeer:
    """Answers with whatever the test says: the wire's other end in an attacker's hands."""

    def __init__(self, **reply):
        self._reply = reply

    def exchange(self, header, buffers, caps, deadline):
        reply = {"id": header["id"], **self._reply}
        return reply, [bytearray(b"\0\0\0\0")]


@pytest.mark.parametrize(
    "reply",
    [
        {"ok": {"h": "1", "class": "Net"}},
        {"ok": {"h": 1}},
        {"ok": {"h": 1, "class": "Net", "layout": {}}},
        {
            "ok": {
                "h": 1,
                "class": "N",
                "layout": {"parameters": [["../x", "float32", [1], True]], "buffers": [], "training": True},
            }
        },
        {
            "ok": {
                "h": 1,
                "class": "N",
                "layout": {"parameters": [["x", "float99", [1], True]], "buffers": [], "training": True},
            }
        },
        {
            "ok": {
                "h": 1,
                "class": "N",
                "layout": {"parameters": [["x", "float32", [2**50], True]], "buffers": [], "training": True},
            }
        },
        {
            "ok": {
                "h": 1,
                "class": "N",
                "layout": {"parameters": [["x", "float32", [1], True]] * 2, "buffers": [], "training": True},
            }
        },
        {"ok": {"b": 0, "dtype": "float32", "shape": [1]}, "differentiable": "yes"},
        {"ok": {"b": 0, "dtype": "float32", "shape": [1]}, "differentiable": []},
        {"error": "none"},
    ],
)
def test_forged_replies_are_violations(reply):
    """Handles, layouts and flags are checked before they are used."""
    subject = Subject(Channel(ForgingPeer(**reply), stream=1, deadline=Deadline(1)))
    with pytest.raises(Violation):
        subject.anything(torch.ones(1, requires_grad=True))


def test_a_forged_gradient_is_a_violation():
    """A gradient must have the shape and dtype of its input."""
    channel = Channel(
        ForgingPeer(ok={"l": [{"b": 0, "dtype": "float32", "shape": [1]}]}), stream=1, deadline=Deadline(1)
    )
    layout = {"parameters": [["w", "float32", [2], True]], "buffers": [], "training": True}
    module = RemoteModule(channel, 1, "Net", Layout.parse(layout))
    with pytest.raises(Violation):
        list(module.parameters())
