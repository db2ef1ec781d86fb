"""What version 0 with TFX 1.16 made: records, plans, samples, shards.

python -m tests.golden.write      writes them anew, which changes everybody's samples
"""
