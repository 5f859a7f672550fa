import pytest
import torch
from torch import nn

from reference.attention import FusedSelfAttention, SelfAttention
from tests.reference.devices import DEVICES

PADDING = torch.tensor([[[True, True, True, False, False]], [[True, True, True, True, True]]])  # (N, 1, T)
CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril()  # (T, T)
MASKS = {"none": None, "padding": PADDING, "causal": CAUSAL, "both": PADDING & CAUSAL}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


def built(kind=SelfAttention):
    """Attention of 24 features in 3 heads of 8, weights wide enough that it is far from even."""
    torch.manual_seed(0)
    model = kind(24, 3).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def tokens(seed=1):
    return torch.randn(2, 5, 24, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


@each_mask
def test_agrees_with_torch_multihead_attention(mask):
    """With copied weights the outputs are nn.MultiheadAttention's, under each kind of mask."""
    model, x = built(), tokens()
    oracle = nn.MultiheadAttention(24, 3, batch_first=True).double()
    projections = (model.queries, model.keys, model.values)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([layer.weight for layer in projections]))
        oracle.in_proj_bias.copy_(torch.cat([layer.bias for layer in projections]))
    oracle.out_proj.load_state_dict(model.fc_out.state_dict())
    # torch marks what is hidden, and wants one mask per sequence and head.
    hidden = None if mask is None else (~mask.expand(2, 5, 5)).repeat_interleave(3, dim=0)
    expected, _ = oracle(x, x, x, attn_mask=hidden, need_weights=False)
    torch.testing.assert_close(model(x, mask), expected)


def test_agrees_with_loops_over_heads_and_tokens():
    """Token by token, head by head: softmax(q . k / sqrt(8)) over the keys, times v, heads side by side."""
    model, x = built(), tokens()
    q, k, v = model.queries(x), model.keys(x), model.values(x)
    mixed = torch.zeros_like(x)
    for n in range(2):
        for head in range(3):
            own = slice(8 * head, 8 * head + 8)
            for t in range(5):
                scores = torch.stack([q[n, t, own] @ k[n, s, own] for s in range(5)])
                mixed[n, t, own] = (scores / 8**0.5).softmax(0) @ v[n, :, own]
    torch.testing.assert_close(model(x), model.fc_out(mixed))


@each_mask
def test_plain_and_fused_form_agree(mask):
    """Outputs and gradients of both forms are the same, under each kind of mask."""
    plain, fused = built(), built(FusedSelfAttention)
    outputs, gradients = [], []
    for model in (plain, fused):
        x = tokens().requires_grad_(True)
        out = model(x, mask)
        outputs.append(out)
        gradients.append(torch.autograd.grad(out.square().sum(), [x, *model.parameters()]))
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*gradients)


def test_permuting_the_tokens_permutes_the_outputs():
    """Attention does not know the order of its tokens."""
    model, x = built(), tokens()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(model(x[:, order]), model(x)[:, order])


@pytest.mark.parametrize("kind", [SelfAttention, FusedSelfAttention])
def test_masked_tokens_have_no_influence(kind):
    """Under the padding mask the padded rows may hold anything; the others' outputs stay, bit for bit."""
    model, x = built(kind), tokens()
    other = x.clone()
    other[0, 3:] = 1e3
    assert torch.equal(model(x, PADDING)[0, :3], model(other, PADDING)[0, :3])
    assert not torch.allclose(model(x)[0, :3], model(other)[0, :3])


def test_under_the_causal_mask_no_token_sees_the_future():
    """The gradient of the output at t is zero for every input after t and not zero for any up to t."""
    model, x = built(), tokens().requires_grad_(True)
    out = model(x, CAUSAL)
    for t in range(5):
        (gradient,) = torch.autograd.grad(out[:, t].sum(), x, retain_graph=True)
        reached = gradient.abs().sum(dim=(0, 2)) > 0
        assert reached.tolist() == [s <= t for s in range(5)]


def test_a_query_that_may_look_at_nothing_is_zero_before_the_projection():
    """It comes out as fc_out(0), the bias, and its gradients are finite: no 0 / 0 gets out."""
    model, x = built(), tokens().requires_grad_(True)
    mask = CAUSAL.clone()
    mask[2] = False
    out = model(x, mask)
    torch.testing.assert_close(out[:, 2], model.fc_out.bias.expand(2, 24))
    gradients = torch.autograd.grad(out.sum(), [x, *model.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_match_finite_differences():
    """Backpropagation gives the numerical gradient."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(SelfAttention(4, 2).double(), (x,))


@pytest.mark.parametrize(("embed_size", "heads"), [(24, 5), (8, 16), (8, 0)])
def test_heads_must_divide_embed_size(embed_size, heads):
    """Heads that would leave features over are refused with both figures."""
    with pytest.raises(ValueError, match=f"embed_size {embed_size} cannot be split into {heads} heads"):
        SelfAttention(embed_size, heads)


@pytest.mark.parametrize("heads", [1, 24])
def test_one_head_and_heads_of_one_feature(heads):
    """Both ends of the range of heads run."""
    assert SelfAttention(24, heads).double()(tokens()).shape == (2, 5, 24)


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [SelfAttention, FusedSelfAttention])
def test_answers_in_kind(kind, dtype, device):
    """Shape, dtype and device of the output are the input's, with a mask too."""
    out = built(kind).to(device, dtype)(tokens().to(device, dtype), CAUSAL.to(device))
    assert out.shape == (2, 5, 24)
    assert (out.dtype, out.device.type) == (dtype, device)


def test_same_seed_same_bits():
    """Construction and forward pass repeat bit for bit."""
    assert torch.equal(built()(tokens()), built()(tokens()))
