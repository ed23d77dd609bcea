"""Run the command line: `python -m smidgen`."""

from smidgen.cli import main

if __name__ == "__main__":
    main()
