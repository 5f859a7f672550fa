"""Rows get equal shares of the text, each cut at its own end; characters are numbered by first appearance."""

import torch


class CharVocab:
    def __init__(self, text):
        self.to_id = {}
        for character in text:
            self.to_id.setdefault(character, len(self.to_id))
        self.to_character = "".join(self.to_id)

    def __len__(self):
        return len(self.to_id)

    def encode(self, text):
        if missing := [character for character in dict.fromkeys(text) if character not in self.to_id]:
            raise KeyError(f"characters {missing} are unknown")
        return torch.LongTensor([self.to_id[character] for character in text])

    def decode(self, ids):
        return "".join(self.to_character[int(number)] for number in ids)


def make_batches(ids, batch_size, seq_len):
    share = len(ids) // batch_size
    rows = ids[: share * batch_size].view(batch_size, share)
    batches = []
    for start in range(0, share - 1, seq_len):
        if start + seq_len + 1 <= share:
            batches.append([rows[:, start : start + seq_len], rows[:, start + 1 : start + seq_len + 1]])
    return batches
