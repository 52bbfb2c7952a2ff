"""What a part of a cloud stands on: the files of one daemon, or one process for all."""
