"""`python -m emojibench` is the `emojibench` command."""

from emojibench.cli import main

if __name__ == "__main__":
    main()
