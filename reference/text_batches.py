"""Cut one long text into batches whose rows read on from batch to batch."""


def make_batches(ids, batch_size, seq_len):
    """Cut a text into batches of inputs and next-character targets.

    The text is laid out as batch_size rows of equal length, one after the other, and the batches walk
    along the rows: row i of a batch starts where row i of the batch before it ended, so a recurrent state
    can be carried.

    Args:
        ids: LongTensor (T,), the encoded text.
        batch_size: rows per batch, N; at least 1.
        seq_len: time steps per batch; at least 1.

    Returns:
        list of (x, y), both LongTensor (batch_size, seq_len); y is the text one character after x. The
        tail that does not fill a batch is dropped, so a text of at most batch_size * seq_len characters
        gives no batch.

    Raises:
        ValueError: ids is not one-dimensional, or batch_size or seq_len is below 1.
    """
    if ids.dim() != 1:
        raise ValueError(f"ids has shape {tuple(ids.shape)}, expected (T,): one text as one row of ids")
    if batch_size < 1 or seq_len < 1:
        raise ValueError(f"batch_size is {batch_size} and seq_len {seq_len}, expected both to be at least 1")
    # The last character is a target only: nothing follows it.
    count = (len(ids) - 1) // (batch_size * seq_len)
    if count < 1:
        return []
    used = count * batch_size * seq_len
    x = ids[:used].reshape(batch_size, count * seq_len)
    y = ids[1 : used + 1].reshape(batch_size, count * seq_len)
    return list(zip(x.split(seq_len, dim=1), y.split(seq_len, dim=1), strict=True))
