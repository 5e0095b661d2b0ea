"""Performance of the model, realised from labels and estimated without: values in, values out."""
