import pytest
import torch

from reference.pooling import mean_pool
from tests.reference.devices import DEVICES

MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]])


def hidden():
    return torch.randn(3, 4, 5, dtype=torch.double, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("mask_dtype", [torch.int64, torch.bool, torch.float32])
def test_mean_over_the_tokens_row_by_row(mask_dtype):
    """Each row is the mean of its own tokens, whatever dtype the mask has."""
    x = hidden()
    expected = torch.stack([x[0, :3].mean(0), x[1, :1].mean(0), x[2].mean(0)])
    torch.testing.assert_close(mean_pool(x, MASK.to(mask_dtype)), expected)


@pytest.mark.parametrize("rubbish", [1e30, torch.nan, torch.inf])
def test_padding_has_no_influence(rubbish):
    """Whatever stands at padding, NaN too, result and gradient are the same, bit for bit."""
    x = hidden()
    spoilt = x.masked_fill((MASK == 0).unsqueeze(-1), rubbish).requires_grad_(True)
    pooled = mean_pool(spoilt, MASK)
    assert torch.equal(pooled, mean_pool(x, MASK))
    (gradient,) = torch.autograd.grad(pooled.sum(), spoilt)
    assert torch.equal(gradient[MASK == 0], torch.zeros(4, 5, dtype=torch.double))
    assert gradient.isfinite().all()


def test_padding_may_stand_anywhere():
    """Only the mask says what is padding, not the place: padding on the left gives the same mean."""
    x = hidden()
    torch.testing.assert_close(mean_pool(x.flip(1), MASK.flip(1)), mean_pool(x, MASK))


def test_a_text_without_tokens_is_zero():
    """An all-zero mask row gives zeros, not 0 / 0."""
    assert torch.equal(mean_pool(hidden(), torch.zeros(3, 4)), torch.zeros(3, 5, dtype=torch.double))


def test_mask_of_another_shape_is_refused():
    """A mask that would only broadcast is an error with both shapes."""
    with pytest.raises(ValueError, match=r"attention_mask has shape \(1, 4\), expected \(3, 4\)"):
        mean_pool(hidden(), MASK[:1])


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_answers_in_kind(dtype, device):
    """The result has the dtype and device of the token vectors."""
    pooled = mean_pool(hidden().to(device, dtype), MASK.to(device))
    assert pooled.shape == (3, 5)
    assert (pooled.dtype, pooled.device.type) == (dtype, device)
