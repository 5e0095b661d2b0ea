"""What commands take and show: options, progress, summary; sends nothing."""
