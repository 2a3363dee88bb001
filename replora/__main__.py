"""`python -m replora`."""

from replora.cli import main

if __name__ == "__main__":
    main()
