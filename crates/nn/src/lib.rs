//! Layers: convolution modules, Transformer blocks, heads, EMA.
