from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dlgrade.tiny_bert import tiny_bert, tiny_tokenizer
from reference.bert_classifier import build_classifier, freeze_encoder
from reference.tokenization import tokenize_batch
from tests.reference.devices import DEVICES

TEXTS = ["not good", "the film was very good and not dull", "great"]


class Table(nn.Module):
    """The plainest encoder there is: an embedding, with the interface of a transformers model."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=6)
        self.embedding = nn.Embedding(9, 6)

    def forward(self, input_ids, attention_mask):
        return SimpleNamespace(last_hidden_state=self.embedding(input_ids))


def built(num_classes=3):
    torch.manual_seed(0)
    return build_classifier(tiny_bert(0), num_classes).eval()


def test_logits_are_the_head_of_the_mean_over_the_tokens():
    """In eval mode the logits of each text are head(mean of its own token vectors)."""
    torch.manual_seed(0)
    model = build_classifier(Table(), 4).double().eval()
    ids = torch.tensor([[1, 2, 3], [4, 0, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    vectors = model.encoder.embedding.weight
    expected = model.head(torch.stack([vectors[[1, 2, 3]].mean(0), vectors[4]]))
    torch.testing.assert_close(model(ids, mask), expected)


def test_a_text_gets_the_same_logits_alone_and_in_a_batch():
    """Padding has no influence, through the encoder's attention as through the pooling."""
    model, tokenizer = built().double(), tiny_tokenizer()
    together = model(**tokenize_batch(tokenizer, TEXTS))
    for text, logits in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(model(**tokenize_batch(tokenizer, [text]))[0], logits)


@pytest.mark.parametrize("num_classes", [1, 2, 7])
def test_logits_are_one_per_class(num_classes):
    """(N, K) whatever K is, and not normalised."""
    logits = built(num_classes)(**tokenize_batch(tiny_tokenizer(), TEXTS))
    assert logits.shape == (3, num_classes)
    assert not torch.allclose(logits.sum(dim=1), torch.ones(3))


def test_frozen_encoder_leaves_the_head_to_train():
    """After freezing, backward reaches the head's two parameters and none of the encoder's."""
    model = built()
    assert freeze_encoder(model) is model
    model(**tokenize_batch(tiny_tokenizer(), TEXTS)).square().sum().backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert moved == {"head.weight", "head.bias"}


def test_unfrozen_every_parameter_gets_a_gradient():
    """Without freezing all of the encoder is trained with the head."""
    model = built()
    model(**tokenize_batch(tiny_tokenizer(), TEXTS)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_head_is_made_where_and_as_what_the_encoder_is(dtype, device):
    """An encoder in half precision, double, or on a GPU gets a head that runs with it as it comes."""
    model = build_classifier(tiny_bert(0).to(device, dtype), 2)
    batch = {name: ids.to(device) for name, ids in tokenize_batch(tiny_tokenizer(), TEXTS).items()}
    logits = model(**batch)
    assert (logits.dtype, logits.device.type) == (dtype, device)
