import math

import pytest
import torch
from torch import nn

from dlgrade.tiny_bert import tiny_bert, tiny_tokenizer
from reference.bert_classifier import build_classifier, freeze_encoder
from reference.bert_optimizer import make_optimizer
from reference.finetuning import finetune
from reference.tokenization import tokenize_batch
from tests.reference.devices import DEVICES

TEXTS = ["very good", "not good", "the play was great", "the play was dull"]
LABELS = torch.tensor([1, 0, 1, 0])


class Bag(nn.Module):
    """The same interface, small enough to differentiate by hand: the mean of a table of logits."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(5, 3, dtype=torch.double))
        self.modes = []

    def forward(self, input_ids, attention_mask):
        self.modes.append(self.training)
        mask = attention_mask.unsqueeze(-1)
        return (self.table[input_ids] * mask).sum(1) / mask.sum(1)


def toy_batches():
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, (2, 4), generator=generator) for _ in range(3)]
    return [(x, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]), torch.tensor([i, 2])) for i, x in enumerate(ids)]


def text_batch():
    batch = tokenize_batch(tiny_tokenizer(), TEXTS)
    return (batch["input_ids"], batch["attention_mask"], LABELS)


def built():
    torch.manual_seed(0)
    return build_classifier(tiny_bert(0, dropout=0.0), 2)


def train(model, batches, device="cpu", lr=5e-3):
    model.to(device)
    optimizer, scheduler = make_optimizer(
        model, lr=lr, weight_decay=0.01, warmup_steps=2, total_steps=len(batches)
    )
    return finetune(model, batches, optimizer, scheduler, device)


def test_equals_gradient_descent_written_out():
    """Losses and weights equal the arithmetic by hand, at a rate the scheduler changes after each step."""
    torch.manual_seed(0)
    model = Bag()
    table, expected = model.table.detach().clone(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    losses = finetune(model, toy_batches(), optimizer, scheduler)
    for step, (ids, mask, labels) in enumerate(toy_batches()):
        bags = nn.functional.one_hot(ids, 5).double() * mask.unsqueeze(-1)
        bags = bags.sum(1) / mask.sum(1, keepdim=True)  # (N, V), share of each token in a text
        probabilities = (bags @ table).softmax(-1)
        expected.append(-probabilities[torch.arange(2), labels].log().mean().item())
        table -= bags.T @ (probabilities - nn.functional.one_hot(labels, 3)) / 2 / (1 + step)
    assert losses == pytest.approx(expected)
    torch.testing.assert_close(model.table.detach(), table)


def test_runs_in_train_mode_once_per_batch():
    """A model left in eval mode is trained in train mode; batches are walked once, a generator will do."""
    model = Bag().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    assert len(finetune(model, iter(toy_batches()), optimizer, scheduler)) == 3
    assert model.modes == [True] * 3


@pytest.mark.parametrize("device", DEVICES)
def test_tiny_bert_learns_four_texts(device):
    """Forty steps on four labelled texts take the loss from about log 2 to below 0.05."""
    losses = train(built(), [text_batch()] * 40, device)
    assert losses[0] == pytest.approx(math.log(2), abs=0.7)
    assert losses[-1] < 0.05
    assert all(isinstance(loss, float) for loss in losses)


def test_frozen_encoder_does_not_move():
    """With the encoder frozen only the head changes, bit for bit."""
    model = freeze_encoder(built())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, [text_batch()] * 4)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_same_seed_same_bits():
    """Fine-tuning, dropout of the head included, repeats bit for bit."""
    assert train(built(), [text_batch()] * 3) == train(built(), [text_batch()] * 3)


def test_no_batches_no_losses():
    """An empty pass returns an empty list and changes nothing."""
    model = Bag()
    before = model.table.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert finetune(model, [], optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1)) == []
    assert torch.equal(model.table, before)
