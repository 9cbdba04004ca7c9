"""`python -m scrm` is the `scrm` command."""

from scrm.cli import main

if __name__ == "__main__":
    main()
