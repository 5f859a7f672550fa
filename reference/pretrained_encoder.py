"""A pretrained transformer from a folder: text in, one vector per token or per text out."""

import torch
from transformers import AutoModel, AutoTokenizer

from reference.pooling import mean_pool
from reference.tokenization import tokenize_batch


def load_encoder(folder):
    """Load a pretrained encoder and its tokenizer from disk; nothing is downloaded.

    Args:
        folder: path of a folder as `save_pretrained` writes it, with the model and the tokenizer.

    Returns:
        (tokenizer, encoder), the encoder in eval mode, in float32, on the CPU.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # Asked for: left to itself the checkpoint's own precision is taken, which may be half.
    encoder = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return tokenizer, encoder.eval()


def embed_tokens(tokenizer, encoder, texts):
    """Give each token a vector that knows its context.

    Args:
        tokenizer: the encoder's.
        encoder: as `load_encoder` returns it; runs as it is, without gradients.
        texts: list of N str, at least one.

    Returns:
        last_hidden_state: (N, T, E); what stands at padding means nothing.
        attention_mask: (N, T), 1 for a token, 0 for padding.
    """
    batch = tokenize_batch(tokenizer, texts)
    with torch.no_grad():
        output = encoder(**{name: ids.to(encoder.device) for name, ids in batch.items()})
    return output.last_hidden_state, batch["attention_mask"].to(encoder.device)


def embed_texts(tokenizer, encoder, texts):
    """Give each text a vector, the mean over its tokens; texts of like meaning lie close by cosine.

    Args:
        tokenizer: the encoder's.
        encoder: as `load_encoder` returns it; runs as it is, without gradients.
        texts: list of N str, at least one.

    Returns:
        (N, E), each text's the same whatever it is padded to.
    """
    return mean_pool(*embed_tokens(tokenizer, encoder, texts))
