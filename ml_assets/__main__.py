"""`python -m ml_assets`: the same as `ml-assets`."""

from ml_assets.cli import main

if __name__ == "__main__":
    main()
