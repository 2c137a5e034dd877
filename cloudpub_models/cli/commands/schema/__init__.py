"""What ``cloudpub schema`` draws: a catalogue's tables and references, as a picture or as text.

``diagram`` is what every format is made from. ``mermaid``, ``dot`` and ``markdown`` write text. A picture is made in
steps: ``layers`` puts the tables into columns and order, ``placement`` gives them their places, ``routing`` leads the
references around them, and ``svg`` draws, pixels too.
"""
