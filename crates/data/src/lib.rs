//! Manifests, corpus readers, the doctor, batch plans and the loader.
