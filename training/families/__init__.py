"""Model families: each fits encoded rows and ends as ONNX."""
