"""What a run will need of a cluster: memory per rank, time, money, and the smallest change that makes it fit."""
