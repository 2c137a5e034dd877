"""Tables that consist of partitions by time: made, kept ahead of time, and emptied when they are old."""
