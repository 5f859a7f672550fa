import pytest
import torch
from torch.nn import functional as F

from reference.patch_embedding import PatchEmbedding
from tests.reference.devices import DEVICES


def built():
    torch.manual_seed(0)
    return PatchEmbedding(image_size=12, patch_size=4, in_channels=3, embed_size=7).double()


def images():
    return torch.randn(2, 3, 12, 12, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def test_agrees_with_unfold():
    """Tokens are the projected columns of F.unfold: row-major patches, each ordered channel, row, column."""
    model, x = built(), images()
    columns = F.unfold(x, kernel_size=4, stride=4)  # (N, C * 16, patches)
    torch.testing.assert_close(model(x), model.projection(columns.transpose(1, 2)))


def test_agrees_with_a_strided_convolution():
    """A convolution of stride 4 with the projection's weight as its kernel gives the same tokens."""
    model, x = built(), images()
    kernel = model.projection.weight.reshape(7, 3, 4, 4)
    maps = F.conv2d(x, kernel, model.projection.bias, stride=4)  # (N, E, 3, 3)
    torch.testing.assert_close(model(x), maps.flatten(2).transpose(1, 2))


def test_each_patch_reaches_its_own_token_only():
    """A change of one pixel moves the one token of its patch, counted row by row from the top left."""
    model, x = built(), images()
    for row, column in [(0, 0), (3, 4), (5, 11), (11, 0)]:
        other = x.clone()
        other[:, :, row, column] += 1
        changed = (model(other) != model(x)).any(dim=-1)  # (N, patches)
        expected = torch.arange(9) == (row // 4) * 3 + column // 4
        assert torch.equal(changed, expected.expand(2, 9))


def test_count_is_the_number_of_patches():
    """`count` is what comes out of the forward pass; a patch as large as the image is one."""
    assert built().count == built()(images()).shape[1] == 9
    assert PatchEmbedding(12, 12, 3, 7)(images().float()).shape == (2, 1, 7)


@pytest.mark.parametrize("patch_size", [5, 0, 24])
def test_patches_must_fill_the_image(patch_size):
    """A patch size that leaves pixels over is refused with both figures."""
    with pytest.raises(ValueError, match=f"image_size 12 cannot be cut into patches of {patch_size} pixels"):
        PatchEmbedding(12, patch_size, 3, 7)


def test_images_of_another_size_are_refused():
    """An image of another height or width is named with the size expected."""
    with pytest.raises(ValueError, match="images are 8 x 12, expected 12 x 12"):
        built()(images()[:, :, :8])


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_in_kind(dtype, device):
    """Dtype and device of the tokens are the images'."""
    out = built().to(device, dtype)(images().to(device, dtype))
    assert out.shape == (2, 9, 7)
    assert (out.dtype, out.device.type) == (dtype, device)
