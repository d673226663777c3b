"""edged: frames in, TFLite detections out, over MQTT and annotated video."""

__version__ = "0.1.0"
