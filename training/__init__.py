"""Training: from raw files, or a synthetic sample, to a registered champion."""
