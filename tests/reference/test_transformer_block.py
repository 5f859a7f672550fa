import pytest
import torch
from torch import nn

from reference.transformer_block import TransformerBlock
from tests.reference.devices import DEVICES


def built(dropout=0.0):
    """A block with random weights everywhere: fresh LayerNorms, all ones and zeros, hide a swapped pair."""
    torch.manual_seed(0)
    block = TransformerBlock(embed_size=12, heads=3, dropout=dropout, forward_expansion=4).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block


def tokens():
    return torch.randn(2, 5, 12, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def as_encoder_layer(block):
    """PyTorch's post-norm encoder layer with the block's weights."""
    layer = nn.TransformerEncoderLayer(12, 3, 48, dropout=0.0, batch_first=True, norm_first=False).double()
    projections = (block.attention.queries, block.attention.keys, block.attention.values)
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    layer.self_attn.out_proj.load_state_dict(block.attention.fc_out.state_dict())
    layer.linear1.load_state_dict(block.feed_forward[0].state_dict())
    layer.linear2.load_state_dict(block.feed_forward[2].state_dict())
    layer.norm1.load_state_dict(block.norm1.state_dict())
    layer.norm2.load_state_dict(block.norm2.state_dict())
    return layer


@pytest.mark.parametrize("masked", [False, True])
def test_agrees_with_torch_post_norm_layer(masked):
    """With the same weights the outputs are nn.TransformerEncoderLayer(norm_first=False)'s."""
    block, x = built(), tokens()
    mask = torch.ones(5, 5, dtype=torch.bool).tril() if masked else None
    expected = as_encoder_layer(block)(x, src_mask=None if mask is None else ~mask)
    torch.testing.assert_close(block(x, mask), expected)


def test_layers_have_the_widths_of_the_contract():
    """The feed-forward part widens to forward_expansion * E and comes back."""
    block = TransformerBlock(embed_size=12, heads=3, dropout=0.1, forward_expansion=5)
    shapes = [tuple(p.shape) for p in block.feed_forward.parameters()]
    assert shapes == [(60, 12), (60,), (12, 60), (12,)]


def test_dropout_comes_after_each_norm():
    """In train mode half of the outputs are exactly 0, dropped after the last norm; in eval mode none is."""
    torch.manual_seed(0)
    block = built(dropout=0.5)
    x = tokens().repeat(50, 1, 1)
    dropped = (block(x) == 0).double().mean()
    assert dropped == pytest.approx(0.5, abs=0.05)  # 6,000 features: four standard errors are 0.026
    assert (block.eval()(x) != 0).all()


def test_dropout_acts_between_the_two_halves():
    """With the second half reduced to its residual and norm, dropped features of the first still show."""
    block = built(dropout=0.5)
    seen = []
    block.norm2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    nn.init.zeros_(block.feed_forward[2].weight)
    nn.init.zeros_(block.feed_forward[2].bias)
    block(tokens().repeat(50, 1, 1))
    assert (seen[0] == 0).double().mean() == pytest.approx(0.5, abs=0.05)


def test_dropout_of_zero_is_eval_mode():
    """Without dropout train and eval mode agree, bit for bit."""
    block, x = built(dropout=0.0), tokens()
    assert torch.equal(block.train()(x), block.eval()(x))


def test_permuting_the_tokens_permutes_the_outputs():
    """The block does not know the order of its tokens either."""
    block, x = built(), tokens()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(block(x[:, order]), block(x)[:, order])


def test_every_parameter_gets_a_gradient():
    """All parts take part but the keys' bias, which adds the same to all scores of a query and cancels."""
    block = built()
    block(tokens()).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad.isfinite().all(), name
        if name == "attention.keys.bias":
            assert parameter.grad.abs().max() < 1e-12
        else:
            assert parameter.grad.abs().max() > 1e-6, name


def test_heads_must_divide_embed_size():
    """The attention's refusal reaches whoever builds the block."""
    with pytest.raises(ValueError, match="embed_size 12 cannot be split into 5 heads"):
        TransformerBlock(12, 5, 0.0, 4)


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_in_kind(dtype, device):
    """Shape, dtype and device of the output are the input's."""
    out = built().to(device, dtype)(tokens().to(device, dtype))
    assert out.shape == (2, 5, 12)
    assert (out.dtype, out.device.type) == (dtype, device)
