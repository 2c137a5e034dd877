"""What ``cloudpub load`` does: records become rows, rows are written in chunks, and the position is kept."""
