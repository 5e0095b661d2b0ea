"""Following the registry's aliases into bundles/, and the files by which sidecar and server agree; never scores."""
