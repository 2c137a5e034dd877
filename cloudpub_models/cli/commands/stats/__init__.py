"""What ``cloudpub stats`` shows: ``measurements`` are taken, and drawn in ``drawing`` and ``page``.

``histogram`` and ``axes`` are the arithmetic behind both, ``charts`` the page's pictures.
"""
