"""Weights from elsewhere: layers of torch, Keras and ONNX become `Recurrent`.

What cannot be taken over exactly is refused, by the name of the option and its value.
"""
