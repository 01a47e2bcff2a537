"""DeepSpeed's engine: ZeRO's shards on many ranks, and whole weights out of them again."""
