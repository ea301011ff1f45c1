"""The command line as ``python -m cellwright``, where no folder of scripts is on the path."""

from cellwright.cli import main

if __name__ == "__main__":
    main()
