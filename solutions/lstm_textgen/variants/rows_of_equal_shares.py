"""Rows get equal shares of the text, each cut at its own end; a dict numbers the sorted characters."""

import torch


class CharVocab:
    def __init__(self, text):
        if len(text) == 0:
            raise ValueError("a vocabulary of nothing")
        self.to_id = {}
        for character in sorted(text):
            self.to_id.setdefault(character, len(self.to_id))
        self.to_character = "".join(self.to_id)

    def __len__(self):
        return len(self.to_id)

    def encode(self, text):
        if missing := [character for character in dict.fromkeys(text) if character not in self.to_id]:
            raise ValueError(f"characters {missing} are unknown")
        return torch.LongTensor([self.to_id[character] for character in text])

    def decode(self, ids):
        numbers = [int(number) for number in ids]
        if set(numbers) - set(range(len(self))):
            raise ValueError(f"not all of {numbers} are ids")
        return "".join(self.to_character[number] for number in numbers)


def make_batches(ids, batch_size, seq_len):
    if ids.ndim != 1 or min(batch_size, seq_len) <= 0:
        raise ValueError("expected one text and positive sizes")
    share = len(ids) // batch_size
    rows = ids[: share * batch_size].view(batch_size, share)
    batches = []
    for start in range(0, share - 1, seq_len):
        if start + seq_len + 1 <= share:
            batches.append([rows[:, start : start + seq_len], rows[:, start + 1 : start + seq_len + 1]])
    return batches
