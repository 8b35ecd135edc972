//! CTC speech recognition on a SPIRAL encoder.
