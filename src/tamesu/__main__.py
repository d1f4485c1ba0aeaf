"""`python -m tamesu` is the command `tamesu`."""

from tamesu.cli import main

if __name__ == "__main__":
    main()
