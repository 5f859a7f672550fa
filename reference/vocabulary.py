"""A vocabulary of single characters: text to ids and back."""

import torch


class CharVocab:
    """The characters of a text, numbered from 0 in sorted order.

    Sorted, so that the same text gives the same numbers on every machine and in every run.

    Args:
        text: str, at least one character; repeats count once.

    `len(vocab)` is V, the number of different characters.

    Raises:
        ValueError: text is empty.
    """

    def __init__(self, text):
        if not text:
            raise ValueError("text is empty, expected at least one character to build a vocabulary from")
        self.characters = sorted(set(text))
        self.index = {character: i for i, character in enumerate(self.characters)}

    def __len__(self):
        """V, the number of different characters."""
        return len(self.characters)

    def encode(self, text):
        """Number each character of a text.

        Args:
            text: str of T characters, all of them in the vocabulary; may be empty.

        Returns:
            LongTensor (T,), each value in 0..V-1.

        Raises:
            ValueError: characters outside the vocabulary; the message names each of them.
        """
        unknown = sorted(set(text) - self.index.keys())
        if unknown:
            names = ", ".join(repr(character) for character in unknown)
            raise ValueError(
                f"not in the vocabulary: {names}; expected only its {len(self)} characters, "
                "so build the vocabulary from all the text you will encode"
            )
        return torch.tensor([self.index[character] for character in text], dtype=torch.long)

    def decode(self, ids):
        """Spell out ids as text; the inverse of `encode`.

        Args:
            ids: LongTensor (T,), or a sequence of T ints, each in 0..V-1.

        Returns:
            str of T characters.

        Raises:
            ValueError: an id outside 0..V-1; the message names it.
        """
        numbers = torch.as_tensor(ids).flatten().tolist()
        for number in numbers:
            # A list would take -1 for its last entry and return a wrong character without a word.
            if not 0 <= number < len(self):
                raise ValueError(f"id {number} is not in the vocabulary, expected 0..{len(self) - 1}")
        return "".join(self.characters[number] for number in numbers)
