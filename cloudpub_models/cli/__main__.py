"""``python -m cloudpub_models.cli``: the ``cloudpub`` command."""

from cloudpub_models.cli import main

if __name__ == "__main__":
    main()
