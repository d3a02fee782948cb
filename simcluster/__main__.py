"""`python -m simcluster` is the command `simcluster`."""

from simcluster.cli.main import main

if __name__ == "__main__":
    main()
