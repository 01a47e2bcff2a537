"""A run and its folder: begun, watched, validated, saved, stopped, gone on with."""
