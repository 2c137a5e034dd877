"""What ``cloudpub stats`` shows: gathered in ``report``, drawn in ``drawing`` and ``page``.

``durations`` and ``axes`` are the arithmetic behind both, ``charts`` and ``markup`` the page's pictures. The command
and its options are in ``cli/stats``.
"""
