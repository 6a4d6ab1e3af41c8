"""``python -m chaton``: the same as the ``chaton`` command."""

from chaton.cli.main import main

if __name__ == "__main__":
    main()
