"""``python -m auto_insurance`` is the command ``auto-insurance``."""

from auto_insurance.entrypoints.cli.main import main

if __name__ == "__main__":
    main()
