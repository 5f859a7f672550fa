import string

import pytest
import torch

from dlgrade.specs_text import TinyBert, TinyTokenizer
from dlgrade.tiny_bert import tiny_bert, tiny_tokenizer


def test_same_seed_same_weights_and_no_trace():
    """A seed fixes every weight, another seed gives others, and PyTorch's global generator does not move."""
    before = torch.get_rng_state()
    first, again, other = tiny_bert(0), tiny_bert(0), tiny_bert(1)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    name = "embeddings.word_embeddings.weight"
    assert not torch.equal(first.get_parameter(name), other.get_parameter(name))


def test_it_is_tiny_and_in_eval_mode():
    """Under 30,000 parameters, no dropout active."""
    model = tiny_bert(0)
    assert sum(p.numel() for p in model.parameters()) < 30_000
    assert not any(module.training for module in model.modules())


def test_attention_is_far_from_even():
    """The weights spread enough for a mistake in the attention mask to show in the outputs."""
    model = tiny_bert(0)
    ids = tiny_tokenizer()(["the film was not very good"], return_tensors="pt")["input_ids"]
    full = model(input_ids=ids).last_hidden_state
    cut = model(input_ids=ids, attention_mask=torch.tensor([[1] * 6 + [0, 0]])).last_hidden_state
    assert (full - cut)[:, :6].abs().max() > 0.05


def test_known_words_are_one_token_and_others_are_spelled():
    """Known words stay whole, endings split off, unknown words fall into letters, capitals are lowered."""
    tokenizer = tiny_tokenizer()
    assert tokenizer.tokenize("The film played") == ["the", "film", "play", "##ed"]
    assert tokenizer.tokenize("Zap") == ["z", "##a", "##p"]


@pytest.mark.parametrize("character", string.ascii_letters + string.digits + string.punctuation)
def test_no_ascii_text_is_unknown(character):
    """Each ASCII letter, digit and punctuation mark has a token, at a word's start and inside it."""
    ids = tiny_tokenizer()(f"{character} x{character}x")["input_ids"]
    assert tiny_tokenizer().unk_token_id not in ids


def test_padding_is_id_zero():
    """[PAD] is 0, as in BERT's own vocabulary and as TextClassifier expects."""
    assert tiny_tokenizer().pad_token_id == 0


def test_it_remembers_how_it_was_called():
    """The mask of the last call and whether gradients were on are kept, and nothing is taken for a mask."""
    model, ids = tiny_bert(0), torch.tensor([[2, 9, 3]])
    mask = torch.tensor([[1, 1, 0]])
    assert (model.told, model.graph) == (None, False)
    model(ids, mask)
    assert torch.equal(model.told, mask)
    assert model.graph
    with torch.no_grad():
        model(input_ids=ids)
    assert (model.told, model.graph) == (None, False)


def test_the_specs_build_it_on_either_side():
    """A spec's encoder has the weights of its seed, frozen where it says; every id is below SIZE."""
    spec = TinyBert(3, frozen=("embeddings",))
    model = TinyBert.build(**spec.fields)
    assert {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad} == {
        "embeddings"
    }
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(model.get_parameter(name), tiny_bert(3).get_parameter(name))
    assert len(TinyTokenizer.build()) <= TinyTokenizer.SIZE
