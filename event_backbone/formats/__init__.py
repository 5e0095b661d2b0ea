"""Values written where others read more than letters: control characters, Markdown."""
