//! The shared tensor backend: devices and fused operations.
