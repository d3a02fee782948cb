"""`python -m simcluster` is the command `simcluster`, for a Python whose scripts are not on the path.

python -m simcluster run scenarios/ep64_tp2_pp1.yaml
"""

from simcluster.cli.main import main

if __name__ == "__main__":
    main()
