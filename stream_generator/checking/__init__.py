"""Books compared with what a running installation keeps."""
