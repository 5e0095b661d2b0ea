"""Does the model follow the world? Labels that change are relearned, random ones are not; through every process."""
