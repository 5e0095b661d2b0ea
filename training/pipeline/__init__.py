"""The stages of training as functions over folders, for a command each and for DVC."""
