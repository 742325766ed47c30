"""Animations: what is in the files, which of them are played, their composed frames, and the encoder."""
