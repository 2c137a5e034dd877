"""Writing a component's next migration from the difference between its models and what its scripts so far make.

``scratch`` has both made in databases in memory, and read into values (``structure``); ``renames`` tells what may have
been renamed; ``difference`` finds the steps from one to the other, of which ``steps`` knows each; ``python`` and
``fields`` write them as a script; ``generation`` does one after the other, and tries the script before it is kept.
"""
